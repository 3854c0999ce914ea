//! The API's calls, with the login that they need.

use std::fmt;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::address::{Server, ServerOption};
use super::dial::{Known, trust};
use super::logins::{Login, Logins};
use super::transport::{Answer, Call, TransportError, exchange};
use super::views::{
    AuditFilter, AuditPageView, LogView, NodeView, OrderView, RepairView, RescanView, StatusView,
    TokenRowView, TokenView, UserView,
};
use crate::cli::exit::{Failure, Status};
use crate::percent::segment;
use crate::tls::{ClusterKey, Trust};

/// How long a token of the command line is good for, in seconds: 30 days.
const TOKEN_LIFE_S: u64 = 30 * 24 * 3600;

/// How often an order is sent whose connection breaks, and how long is waited in between.
const ATTEMPTS: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum ApiError {
    /// There is no answer.
    Transport(TransportError),
    /// The server refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable word for programs; empty if the answer was none of the API's.
        kind: String,
        /// The sentence for people.
        message: String,
        /// The site of who is to be asked instead.
        site: Option<String>,
    },
    /// The answer makes no sense.
    Nonsense {
        /// Who answered.
        server: Server,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Refused { message, .. } => f.write_str(&crate::cli::terminal::harmless(message)),
            Self::Nonsense { server, why } => write!(
                f,
                "{server} gave an answer that makes no sense here: {why}. Is it a Vaquita process \
                 of this version that listens there?"
            ),
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let status = match &error {
            ApiError::Transport(error) if error.is_stranger() => Status::Denied,
            ApiError::Transport(_) => Status::Unavailable,
            ApiError::Nonsense { .. } => Status::Bug,
            ApiError::Refused { status, .. } => match status {
                308 | 401 | 403 => Status::Denied,
                429 => Status::Busy,
                503 => Status::Unavailable,
                500 => Status::Bug,
                _ => Status::No,
            },
        };
        Self::new(status, error.to_string())
    }
}

impl ApiError {
    /// Whether the same call may succeed in a moment, while a server starts.
    pub(in crate::cli) fn may_pass(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_stranger(),
            Self::Refused { status, .. } => matches!(status, 429 | 503),
            Self::Nonsense { .. } => false,
        }
    }

    /// Whether the login would have gone well with a setup code.
    pub(in crate::cli) fn wants_setup_code(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == "setup-code-required")
    }

    /// The server that is to be asked instead.
    fn elsewhere(&self) -> Option<Server> {
        match self {
            Self::Refused {
                kind,
                site: Some(site),
                ..
            } if kind == "not-here" => Server::parse(site).ok(),
            _ => None,
        }
    }

    /// Whether there is no such thing.
    pub(in crate::cli) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether there is something else than what was expected.
    pub(in crate::cli) fn is_precondition(&self) -> bool {
        matches!(self, Self::Refused { status: 412, .. })
    }

    pub(in crate::cli) fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    kind: String,
    message: String,
    site: Option<String>,
}

/// A name and a password from the environment.
#[derive(Clone)]
struct Credentials {
    user: String,
    password: String,
}

/// A server, and who one is there.
pub(in crate::cli) struct Api {
    server: Server,
    /// By what the server is known, where it speaks HTTPS, and how that is kept.
    trust: Trust,
    known: Option<Known>,
    token: Option<String>,
    user: Option<String>,
    environment: Option<Credentials>,
    logins: Logins,
    /// The controller that gave the token, where `server` is a data node.
    controller: Option<(Server, Trust)>,
    /// The name of the operation that is being ordered.
    key: Option<String>,
    /// The entity tag of what is being replaced.
    replaces: Option<String>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// The server and the login that a command's flags, the environment and the login file give.
    pub(in crate::cli) fn choose(option: &ServerOption) -> Result<Self, Failure> {
        let logins = Logins::read()?;
        let server = option.choose(&logins)?;
        let known = option.known(&server, &logins);
        let trust = trust(&server, known.as_ref())?;
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let environment = match (variable("VAQUITA_USER"), variable("VAQUITA_PASSWORD")) {
            (Some(user), Some(password)) => Some(Credentials { user, password }),
            (None, Some(_)) => {
                return Err(Failure::new(
                    Status::Usage,
                    "VAQUITA_PASSWORD is set and VAQUITA_USER is not",
                ));
            }
            _ => None,
        };
        let wanted = environment.as_ref().map(|it| it.user.as_str());
        let login = logins.find(&server.to_string(), wanted).cloned();
        // A token that was made for a program comes first, and nothing else is tried in its place.
        let (token, user, environment) = match variable("VAQUITA_TOKEN") {
            Some(token) => (Some(token), None, None),
            None => {
                let token = login.as_ref().map(|login| login.token.clone());
                (token, login.map(|login| login.user), environment)
            }
        };
        Ok(Self {
            token,
            user,
            server,
            trust,
            known,
            environment,
            logins,
            controller: None,
            key: None,
            replaces: None,
        })
    }

    /// The cluster that `vaquita local` runs, with a token that it knows or one of an earlier run.
    /// One that serves HTTPS is known by its cluster's key.
    pub(in crate::cli) fn for_local(
        server: &str,
        key: Option<ClusterKey>,
        token: Option<String>,
    ) -> Result<Self, Failure> {
        let mut server = Server::parse(server)?;
        server.tls = key.is_some();
        let known = key.map(|key| Known::Cluster(key.to_string()));
        let trust = trust(&server, known.as_ref())?;
        let logins = Logins::read()?;
        let user = "admin";
        let login = || logins.find(&server.to_string(), Some(user));
        Ok(Self {
            trust,
            known,
            token: token.or_else(|| login().map(|login| login.token.clone())),
            user: Some(user.to_owned()),
            server,
            environment: None,
            logins,
            controller: None,
            key: None,
            replaces: None,
        })
    }

    /// Where calls go to.
    pub(super) const fn address(&self) -> &Server {
        &self.server
    }

    /// By what the server is known.
    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// By what the other servers of the cluster are known, where they speak HTTPS: by the cluster's key,
    /// which this server tells. What comes through TLS stays there: one that tells none is not believed
    /// to have sent anybody elsewhere in the clear.
    pub(super) async fn trust_of_others(&self) -> Result<Trust, ApiError> {
        #[derive(Deserialize)]
        struct TlsView {
            cluster_key: Option<String>,
        }
        if !self.server.tls {
            return Ok(self.trust.clone());
        }
        let told: TlsView = self.json_once(Method::GET, "/api/v1/tls", None).await?;
        match told.cluster_key.map(|key| key.parse()) {
            Some(Ok(key)) => Ok(Trust::Cluster(key)),
            Some(Err(why)) => Err(self.nonsense(why)),
            None => Ok(self.trust.clone()),
        }
    }

    /// What shows who one is, once there has been a call.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// `host:port`.
    pub(in crate::cli) fn server(&self) -> String {
        self.server.to_string()
    }

    /// The user of the login that is in use.
    pub(in crate::cli) fn user(&self) -> Option<&str> {
        let of_environment = self.environment.as_ref().map(|it| it.user.as_str());
        of_environment.or(self.user.as_deref())
    }

    /// Whether there is anything to show who one is.
    pub(in crate::cli) fn has_login(&self) -> bool {
        self.token.is_some() || self.environment.is_some()
    }

    /// Who gave the token, `host:port`.
    pub(in crate::cli) fn logged_in_at(&self) -> String {
        let controller = self.controller.as_ref().map(|(server, _)| server);
        controller.unwrap_or(&self.server).to_string()
    }

    /// Exchanges a name and a password for a token and uses it from now on. The caller keeps it.
    ///
    /// A data node takes the token and knows no password: it names the controller, which is asked
    /// in its place.
    pub(in crate::cli) async fn login(
        &mut self,
        user: &str,
        password: &str,
        setup_code: Option<&str>,
    ) -> Result<TokenView, ApiError> {
        let mut body = json!({ "user": user, "password": password, "valid_for_s": TOKEN_LIFE_S });
        if let Some(code) = setup_code {
            body["setup_code"] = code.into();
        }
        let path = "/api/v1/login";
        let asked = self.json_once(Method::POST, path, Some(body.clone())).await;
        let token: TokenView = match asked {
            Ok(token) => token,
            Err(error) => {
                let Some(controller) = error.elsewhere() else {
                    return Err(error);
                };
                let trust = self.trust_of_others().await?;
                let controller = controller.spoken_to_as(&self.server);
                let trust = std::mem::replace(&mut self.trust, trust);
                let node = std::mem::replace(&mut self.server, controller);
                let asked = self.json_once(Method::POST, path, Some(body)).await;
                self.controller = Some((
                    std::mem::replace(&mut self.server, node),
                    std::mem::replace(&mut self.trust, trust),
                ));
                asked?
            }
        };
        self.token = Some(token.token.clone());
        self.user = Some(user.to_owned());
        Ok(token)
    }

    /// Keeps the login in use for later commands.
    pub(in crate::cli) fn keep_login(&mut self) -> Result<(), Failure> {
        let Some(login) = self.as_login() else {
            return Ok(());
        };
        if let Some(known) = self.known.clone() {
            self.logins.know(login.server.clone(), known);
        }
        self.logins.keep(login.clone())?;
        match &self.controller {
            // The commands that follow go there: it does more than a data node.
            Some((controller, trust)) => {
                let server = controller.to_string();
                if let Trust::Cluster(key) = trust {
                    let known = Known::Cluster(key.to_string());
                    self.logins.know(server.clone(), known);
                }
                self.logins.keep(Login { server, ..login })
            }
            None => Ok(()),
        }
    }

    /// Keeps the login in use for other servers of the same cluster too.
    pub(in crate::cli) fn keep_login_at(
        &mut self,
        servers: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let Some(login) = self.as_login() else {
            return Ok(());
        };
        let mut beside = Vec::new();
        for server in servers {
            let server = Server::parse(&server)?.spoken_to_as(&self.server);
            if let Some(known @ Known::Cluster(_)) = &self.known {
                self.logins.know(server.to_string(), known.clone());
            }
            beside.push(server.to_string());
        }
        self.logins.keep_beside(&login, beside)
    }

    fn as_login(&self) -> Option<Login> {
        Some(Login {
            server: self.server.to_string(),
            user: self.user.clone()?,
            token: self.token.clone()?,
        })
    }

    /// Voids the token, there and here. A token that the server does not know is void already.
    pub(in crate::cli) async fn logout(&mut self) -> Result<(), Failure> {
        let voided = match &self.token {
            Some(_) => self.call_once(Method::POST, "/api/v1/logout", None).await,
            None => {
                return Err(Failure::new(
                    Status::No,
                    format!("there is no login at {}", self.server),
                ));
            }
        };
        if let Some(user) = self.user.clone() {
            self.logins.forget(&self.server.to_string(), &user)?;
        }
        match voided {
            Err(error) if !error.is_unauthenticated() => {
                let failure = Failure::from(error);
                Err(Failure::new(
                    failure.status,
                    format!("forgotten here, but not voided there: {}", failure.message),
                ))
            }
            _ => Ok(()),
        }
    }

    pub(in crate::cli) async fn me(&mut self) -> Result<UserView, ApiError> {
        self.json(Method::GET, "/api/v1/me", None).await
    }

    /// The whole answer, as programs are given it.
    pub(in crate::cli) async fn raw(&mut self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, None).await
    }

    pub(in crate::cli) async fn nodes(&mut self) -> Result<Vec<NodeView>, ApiError> {
        self.json(Method::GET, "/api/v1/nodes", None).await
    }

    pub(in crate::cli) async fn status(&mut self) -> Result<StatusView, ApiError> {
        self.json(Method::GET, "/api/v1/status", None).await
    }

    /// Orders nodes to `start` or to `stop`; no alias means all.
    pub(in crate::cli) async fn order(
        &mut self,
        verb: &str,
        aliases: &[String],
    ) -> Result<Vec<OrderView>, ApiError> {
        let body = if aliases.is_empty() {
            json!({ "all": true })
        } else {
            json!({ "aliases": aliases })
        };
        let path = format!("/api/v1/nodes/{verb}");
        self.json(Method::POST, &path, Some(body)).await
    }

    /// Has data nodes left in peace for a while; all if none is named.
    pub(in crate::cli) async fn maintain(
        &mut self,
        aliases: &[String],
        length: Duration,
    ) -> Result<Vec<OrderView>, ApiError> {
        let seconds = length.as_secs();
        let body = if aliases.is_empty() {
            json!({ "all": true, "seconds": seconds })
        } else {
            json!({ "aliases": aliases, "seconds": seconds })
        };
        let path = "/api/v1/nodes/maintenance";
        self.json(Method::POST, path, Some(body)).await
    }

    /// How repair is; or has it `suspend`, or `resume`, first.
    pub(in crate::cli) async fn repair(
        &mut self,
        order: Option<&str>,
    ) -> Result<RepairView, ApiError> {
        match order {
            Some(order) => {
                let path = format!("/api/v1/repair/{order}");
                self.json(Method::POST, &path, None).await
            }
            None => self.json(Method::GET, "/api/v1/repair", None).await,
        }
    }

    /// Gives a node's alias to whoever registers under it next.
    pub(in crate::cli) async fn replace(
        &mut self,
        alias: &str,
    ) -> Result<Vec<OrderView>, ApiError> {
        let body = json!({ "alias": alias });
        let path = "/api/v1/nodes/replace";
        self.json(Method::POST, path, Some(body)).await
    }

    /// Takes a data node out of the cluster; with the alias once more if a loss is accepted.
    pub(in crate::cli) async fn remove_node(
        &mut self,
        alias: &str,
        accept_loss_of: Option<&str>,
    ) -> Result<Vec<OrderView>, ApiError> {
        let mut body = json!({ "alias": alias });
        if let Some(typed) = accept_loss_of {
            body["accept_loss_of"] = json!(typed);
        }
        let path = "/api/v1/nodes/remove";
        self.json(Method::POST, path, Some(body)).await
    }

    /// Has data nodes open again what is not open; all if none is named.
    pub(in crate::cli) async fn rescan(
        &mut self,
        aliases: &[String],
    ) -> Result<Vec<RescanView>, ApiError> {
        let body = match aliases {
            [] => json!({ "all": true }),
            aliases => json!({ "aliases": aliases }),
        };
        let path = "/api/v1/volumes/rescan";
        self.json(Method::POST, path, Some(body)).await
    }

    /// Has the volume at a directory of a node adopted, or forgotten.
    pub(in crate::cli) async fn volume_order(
        &mut self,
        order: &str,
        node: &str,
        path: &str,
    ) -> Result<Vec<RescanView>, ApiError> {
        let body = json!({ "node": node, "path": path });
        let path = format!("/api/v1/volumes/{order}");
        self.json(Method::POST, &path, Some(body)).await
    }

    /// Orders that a volume be emptied (`drain`), or serve again (`serve`).
    pub(in crate::cli) async fn volume_duty(
        &mut self,
        order: &str,
        node: &str,
        path: &str,
    ) -> Result<Vec<OrderView>, ApiError> {
        let body = json!({ "node": node, "path": path });
        let path = format!("/api/v1/volumes/{order}");
        self.json(Method::POST, &path, Some(body)).await
    }

    pub(in crate::cli) async fn log(
        &mut self,
        alias: &str,
        query: &str,
    ) -> Result<LogView, ApiError> {
        let path = format!("/api/v1/nodes/{}/log?{query}", segment(alias));
        let answer = self.call(Method::GET, &path, None).await?;
        let number = |name: &str| {
            let value = answer.headers.get(name)?.to_str().ok()?;
            value.parse::<u64>().ok()
        };
        match (number("x-log-offset"), number("x-log-length")) {
            (Some(offset), Some(file_len)) => Ok(LogView {
                offset,
                file_len,
                bytes: answer.body.to_vec(),
            }),
            _ => Err(self.nonsense("a piece of a log without its place in the file")),
        }
    }

    pub(in crate::cli) async fn users(&mut self) -> Result<Vec<UserView>, ApiError> {
        self.json(Method::GET, "/api/v1/users", None).await
    }

    pub(in crate::cli) async fn add_user(
        &mut self,
        user: &str,
        password: &str,
        admin: bool,
    ) -> Result<(), ApiError> {
        let body = json!({ "user": user, "password": password, "admin": admin });
        self.done(Method::POST, "/api/v1/users", Some(body)).await
    }

    pub(in crate::cli) async fn remove_user(&mut self, user: &str) -> Result<(), ApiError> {
        let path = format!("/api/v1/users/{}", segment(user));
        self.done(Method::DELETE, &path, None).await
    }

    pub(in crate::cli) async fn set_password(
        &mut self,
        user: &str,
        old: Option<&str>,
        new: &str,
    ) -> Result<(), ApiError> {
        let path = format!("/api/v1/users/{}/password", segment(user));
        let body = match old {
            Some(old) => json!({ "old": old, "new": new }),
            None => json!({ "new": new }),
        };
        self.done(Method::PUT, &path, Some(body)).await
    }

    pub(in crate::cli) async fn set_right(
        &mut self,
        user: &str,
        right: &str,
        given: bool,
    ) -> Result<(), ApiError> {
        let path = format!("/api/v1/users/{}/rights/{}", segment(user), segment(right));
        let method = if given { Method::PUT } else { Method::DELETE };
        self.done(method, &path, None).await
    }

    pub(in crate::cli) async fn tokens(
        &mut self,
        all: bool,
    ) -> Result<Vec<TokenRowView>, ApiError> {
        let path = format!("/api/v1/tokens?all={all}");
        self.json(Method::GET, &path, None).await
    }

    /// The new token with all that is said of it.
    pub(in crate::cli) async fn create_token(
        &mut self,
        label: &str,
        valid_for: Duration,
        rights: Option<&[String]>,
        networks: &[String],
    ) -> Result<Value, ApiError> {
        let body = json!({
            "label": label,
            "valid_for_s": valid_for.as_secs(),
            "rights": rights,
            "networks": networks,
        });
        self.json(Method::POST, "/api/v1/tokens", Some(body)).await
    }

    /// Entries of the audit, the newest first.
    pub(in crate::cli) async fn audit(
        &mut self,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPageView, ApiError> {
        let mut path = format!("/api/v1/audit?limit={limit}");
        if let Some(before) = filter.before {
            path.push_str(&format!("&before={before}"));
        }
        for (name, value) in [("actor", &filter.actor), ("action", &filter.action)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", segment(value)));
            }
        }
        self.json(Method::GET, &path, None).await
    }

    pub(in crate::cli) async fn revoke_token(&mut self, id: &str) -> Result<(), ApiError> {
        let path = format!("/api/v1/tokens/{}", segment(id));
        self.done(Method::DELETE, &path, None).await
    }

    /// Orders something that may be asked for again without being done again: when the connection
    /// breaks before there is an answer, the same order is sent once more under the same name.
    pub(super) async fn order_once<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: Value,
        key: &str,
    ) -> Result<T, ApiError> {
        self.key = Some(key.to_owned());
        let mut attempts = 0;
        let answer = loop {
            attempts += 1;
            match self.call(Method::POST, path, Some(body.clone())).await {
                Err(ApiError::Transport(TransportError::Broken(..))) if attempts < ATTEMPTS => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => break other,
            }
        };
        self.key = None;
        self.decoded(&answer?)
    }

    /// Changes what has that entity tag, and nothing else.
    pub(super) async fn replacing<T: DeserializeOwned>(
        &mut self,
        etag: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<T, ApiError> {
        self.replaces = Some(etag.to_owned());
        let answer = self.json(method, path, Some(body)).await;
        self.replaces = None;
        answer
    }

    async fn done(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(), ApiError> {
        self.call(method, path, body).await.map(drop)
    }

    pub(super) async fn json<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ApiError> {
        let answer = self.call(method, path, body).await?;
        self.decoded(&answer)
    }

    async fn json_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ApiError> {
        let answer = self.call_once(method, path, body).await?;
        self.decoded(&answer)
    }

    fn decoded<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ApiError> {
        serde_json::from_slice(&answer.body).map_err(|error| self.nonsense(error.to_string()))
    }

    pub(super) fn nonsense(&self, why: impl Into<String>) -> ApiError {
        ApiError::Nonsense {
            server: self.server.clone(),
            why: why.into(),
        }
    }

    /// One call; where the environment has a name and a password, they are used when there is no
    /// token, or none that the server still knows. The token is kept for the next command: a login
    /// costs the server as much as a thousand other requests.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        if self.token.is_some() || self.environment.is_none() {
            let answer = self.call_once(method.clone(), path, body.clone()).await;
            let expired = matches!(&answer, Err(error) if error.is_unauthenticated());
            if !expired || self.environment.is_none() {
                return answer;
            }
        }
        if let Some(Credentials { user, password }) = self.environment.clone() {
            self.login(&user, &password, None).await?;
            if let Some(login) = self.as_login() {
                // Without a place to keep it every command logs in anew, and works.
                let _ = self.logins.keep_aside(login);
            }
        }
        self.call_once(method, path, body).await
    }

    async fn call_once(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        let token = self.token.as_deref();
        let body = body.map(|body| body.to_string());
        let call = Call {
            method,
            path,
            json: body,
            key: self.key.as_deref(),
            if_match: self.replaces.as_deref(),
        };
        let answer = exchange(&self.server, &self.trust, token, call)
            .await
            .map_err(ApiError::Transport)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.refusal(&answer))
    }

    fn refusal(&self, answer: &Answer) -> ApiError {
        refusal(&self.server, answer)
    }
}

/// What an answer that is no success says.
pub(super) fn refusal(server: &Server, answer: &Answer) -> ApiError {
    match serde_json::from_slice::<Refusal>(&answer.body) {
        Ok(Refusal { error }) => {
            let message = match (answer.status, error.kind.as_str()) {
                (StatusCode::UNAUTHORIZED, "unauthenticated") => format!(
                    "not logged in at {server}, or the login has expired: `vaquita login --server \
                     {server}`, or set VAQUITA_USER and VAQUITA_PASSWORD"
                ),
                _ => error.message,
            };
            ApiError::Refused {
                status: answer.status.as_u16(),
                kind: error.kind,
                message,
                site: error.site,
            }
        }
        Err(_) => ApiError::Nonsense {
            server: server.clone(),
            why: format!("status {}", answer.status),
        },
    }
}
