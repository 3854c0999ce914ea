//! The table of routes is what the router does.

use std::collections::BTreeSet;

use vaquita_core::access::{Need, need};
use vaquita_core::admin::{Refusal, Right, Verb};

use super::harness::{ADMIN, Answered, FILES, FRESH, FakeFront, OPERATOR, PLAIN, READER, request};
use crate::http::{Endpoint, Permission, ROUTES, Route};

fn method(route: &Route) -> &'static str {
    ["GET", "POST", "PUT", "DELETE"]
        .into_iter()
        .find(|method| route.method == *method)
        .expect("the table has no other methods")
}

fn path(route: &Route) -> String {
    route
        .path
        .replace("{alias}", "A")
        .replace("{file}", "cluster.cfg")
        .replace("{user}", "u")
        .replace("{right}", "dfs-read")
        .replace("{version}", "0")
        .replace("{name}", "app.css")
        .replace("{id}", "0123456789abcdef")
        .replace("{chunk}", "0000010000000001")
        .replace("{*path}", "data/a.csv")
}

/// Every route but the one whose answer has no end, which has tests of its own.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|it| it.endpoint != Endpoint::Events)
}

/// A front that refuses everything it is asked, so that what got through shows as 409.
fn refusing() -> FakeFront {
    let reason = "got through".to_owned();
    let refusal = || Refusal::Conflict {
        reason: reason.clone(),
    };
    FakeFront::telling((0..4).map(|_| Err(refusal())))
}

#[test]
fn every_endpoint_and_every_route_stands_in_the_table_once() {
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.path, route.method.as_str()))
        .collect();
    assert_eq!(routes.len(), ROUTES.len(), "a route twice");
    let endpoints: BTreeSet<_> = ROUTES.iter().map(|route| route.endpoint).collect();
    assert_eq!(endpoints.len(), ROUTES.len(), "an endpoint twice");
}

#[tokio::test]
async fn every_route_of_the_table_is_served_under_its_method() {
    for route in routes() {
        let on_files = matches!(
            route.permission,
            Permission::Needs(Right::DfsRead | Right::DfsWrite) | Permission::NeedsAny(_)
        );
        let answer = request(method(route), path(route))
            .token(if on_files { FILES } else { ADMIN })
            .json("{}")
            .send(&refusing())
            .await;
        assert!(
            ![404, 405, 401, 403].contains(&answer.status),
            "{} {}: {answer:?}",
            route.method,
            route.path
        );
    }
}

/// Whether somebody without a login was sent away: with a status, or to the page where one logs in.
fn is_sent_away(route: &Route, answer: &Answered) -> bool {
    let to_login = answer.status == 303
        && answer
            .header("location")
            .is_some_and(|place| place.starts_with("/login"));
    match route.is_page() {
        true => to_login,
        false => answer.status == 401,
    }
}

#[tokio::test]
async fn without_a_token_only_public_routes_answer() {
    for route in routes() {
        let answer = request(method(route), path(route)).send(&refusing()).await;
        let public = route.permission == Permission::Public;
        assert_eq!(
            !is_sent_away(route, &answer),
            public,
            "{} {}: {answer:?}",
            route.method,
            route.path
        );
    }
}

#[tokio::test]
async fn with_a_token_that_nobody_knows_only_public_routes_answer() {
    for route in routes() {
        let front = refusing();
        let answer = request(method(route), path(route))
            .token("made-up")
            .send(&front)
            .await;
        let public = route.permission == Permission::Public;
        assert_eq!(
            !is_sent_away(route, &answer),
            public,
            "{} {}",
            route.method,
            route.path
        );
        assert!(
            public || front.verbs().is_empty(),
            "{} {}",
            route.method,
            route.path
        );
    }
}

/// Which roles may use a route, a letter each: `v`iewers, `o`perators, `a`dministrators, `f` who read and
/// write files, `l` who read logs. Written down once more by hand: whoever changes the table changes
/// this one, and thinks twice.
fn roles(endpoint: Endpoint) -> &'static str {
    use Endpoint as E;
    match endpoint {
        E::LoginPage | E::SubmitLogin | E::SubmitLogout | E::Asset | E::Events => "voafl",
        E::OverviewPage | E::AccountPage | E::NodePage => "voafl",
        E::OwnPage | E::OpenPage | E::EnterPage => "voafl",
        E::PasswordPage | E::SubmitPassword => "voafl",
        E::LogsPage | E::LogPage => "oal",
        E::FilesPage | E::FileTreePage | E::OrderFiles => "f",
        E::VolumesPage | E::RepairPage | E::ChunkPage => "oaf",
        E::UsersPage | E::OrderUsers | E::AuditPage => "a",
        E::ConfigPage | E::ConfigFilePage => "oal",
        E::OrderConfig | E::ChangeConfigFile => "a",
        E::MakeToken | E::OrderTokens => "voafl",
        E::OrderNodes | E::OrderVolume | E::OrderRepair => "oa",
        E::Alive | E::Ready | E::OpenApi | E::ShowTls | E::Login => "voafl",
        E::Metrics | E::Logout | E::Me | E::Status | E::ListNodes | E::ShowFigures => "voafl",
        E::ListTokens | E::CreateToken | E::RevokeToken => "voafl",
        E::StartNodes | E::StopNodes | E::DrainNodes | E::MaintainNodes | E::ServeNodes => "oa",
        E::RescanVolumes | E::DrainVolume | E::ServeVolume => "oa",
        E::SuspendRepair | E::ResumeRepair => "oa",
        E::NodeLog => "oal",
        E::ShowConfig | E::ShowConfigFile | E::ConfigKeys => "oal",
        E::CheckConfig | E::ConfigHistory => "oal",
        E::ReloadConfig | E::WriteConfig | E::UndoConfig => "a",
        E::ReplaceNode | E::RemoveNode | E::AdoptVolume | E::ForgetVolume | E::SettleLoss => "a",
        E::ListUsers | E::AddUser | E::RemoveUser | E::SetPassword | E::Grant | E::Revoke => "a",
        E::ListAudit => "a",
        E::ListVolumes | E::ShowRepair | E::RepairHistory | E::ListUnknown => "oaf",
        E::ListChunks | E::ShowChunk => "oaf",
        E::StatPath | E::ListDirectory | E::PathUsage => "f",
        E::MakeDirectory | E::RemovePath | E::RenamePath => "f",
        E::ReadRoot | E::ReadFile | E::WriteFile | E::RemoveFile => "f",
    }
}

#[tokio::test]
async fn each_role_may_use_exactly_what_the_table_allows() {
    for route in routes() {
        let roles = roles(route.endpoint);
        for (token, letter) in [
            (PLAIN, 'v'),
            (OPERATOR, 'o'),
            (ADMIN, 'a'),
            (FILES, 'f'),
            (READER, 'l'),
        ] {
            let answer = request(method(route), path(route))
                .token(token)
                .send(&refusing())
                .await;
            let first = answer.header("location") == Some("/password");
            assert_eq!(
                answer.status != 403 && !first,
                roles.contains(letter),
                "{token}: {} {}: {answer:?}",
                route.method,
                route.path
            );
        }
        let answer = request(method(route), path(route))
            .token(FRESH)
            .send(&refusing())
            .await;
        let open = matches!(route.permission, Permission::Public | Permission::SignedIn);
        let first = answer.header("location") == Some("/password");
        assert_eq!(
            answer.status != 403 && !first,
            open,
            "fresh: {}",
            route.path
        );
    }
}

/// A request that each route which asks the machine something takes.
fn body(endpoint: Endpoint) -> &'static str {
    use Endpoint as E;
    match endpoint {
        E::Login => r#"{"user":"u","password":"p"}"#,
        E::StartNodes | E::StopNodes | E::DrainNodes | E::ServeNodes | E::RescanVolumes => {
            r#"{"all":true}"#
        }
        E::MaintainNodes => r#"{"all":true,"seconds":60}"#,
        E::ReplaceNode | E::RemoveNode => r#"{"alias":"A"}"#,
        E::AddUser => r#"{"user":"u","password":"a good password"}"#,
        E::SetPassword => r#"{"new":"a good password"}"#,
        E::CreateToken => r#"{"label":"backup"}"#,
        E::MakeDirectory => r#"{"path":"/a"}"#,
        E::RemovePath => r#"{"path":"/a"}"#,
        E::RenamePath => r#"{"from":"/a","to":"/b"}"#,
        E::AdoptVolume | E::ForgetVolume | E::DrainVolume | E::ServeVolume => {
            r#"{"node":"A","path":"/disk"}"#
        }
        _ => "",
    }
}

/// What the machine needs of who asks, as this interface says it.
fn permission(need: Need<'_>) -> Permission {
    match need {
        Need::Nothing => Permission::Public,
        Need::Token | Need::Login => Permission::SignedIn,
        Need::Settled => Permission::Settled,
        Need::SettledLogin => Permission::SettledLogin,
        Need::Right(right) => Permission::Needs(right),
        Need::AnyOf(rights) => Permission::NeedsAny(rights),
        Need::BeOr { right, .. } => Permission::OneselfOr(right),
    }
}

#[tokio::test]
async fn the_table_of_routes_and_that_of_the_machine_say_the_same() {
    let mut compared = 0;
    for route in ROUTES {
        // These ask the machine nothing, or themselves; `me` is the question of the gate.
        let silent = matches!(
            route.endpoint,
            Endpoint::Alive
                | Endpoint::Ready
                | Endpoint::Metrics
                | Endpoint::OpenApi
                | Endpoint::ShowTls
                | Endpoint::Me
        );
        // These ask the desk where the files are.
        let of_files = route.path.starts_with("/api/v1/config");
        if silent || of_files || route.is_file() || route.is_page() {
            continue;
        }
        let mut path = path(route);
        match route.endpoint {
            Endpoint::StatPath | Endpoint::ListDirectory | Endpoint::PathUsage => {
                path.push_str("?path=/a");
            }
            Endpoint::NodeLog => path.push_str("?tail=10"),
            _ => {}
        }
        let front = refusing();
        let on_files = matches!(
            route.permission,
            Permission::Needs(Right::DfsRead | Right::DfsWrite) | Permission::NeedsAny(_)
        );
        let mut sent = request(method(route), path).token(if on_files { FILES } else { ADMIN });
        let body = body(route.endpoint);
        if !body.is_empty() {
            sent = sent.json(body);
        }
        let answer = sent.send(&front).await;
        let verbs = front.verbs();
        let [verb, ..] = &verbs[..] else {
            panic!("{} {} asked nothing: {answer:?}", route.method, route.path);
        };
        assert_eq!(
            permission(need(verb)),
            route.permission,
            "{} {}: {verb:?}",
            route.method,
            route.path
        );
        compared += 1;
    }
    assert!(compared > 35, "{compared} routes were compared");
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_the_path_and_the_content_type_are_looked_at() {
    let front = FakeFront::default();
    let long = "x".repeat(5000);
    for sent in [
        request("POST", "/api/v1/nodes/start").json("{not json"),
        request("POST", "/api/v1/nodes/start").raw("a=b"),
        request("POST", "/api/v1/users").header("Content-Encoding", "gzip"),
        request("GET", "/api/v1/no/such/path"),
        request("GET", format!("/{long}")),
        request("GET", "/api/v1/nodes/..%2f/log?tail=nonsense"),
        request("DELETE", "/api/v1/status"),
        request("PUT", "/api/v1/users/u/rights/no-such-right"),
    ] {
        let answer = sent.send(&front).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (401, "unauthenticated")
        );
        assert!(answer.header("www-authenticate").is_some());
    }
    assert!(front.asked.lock().unwrap().is_empty(), "nobody was asked");
    for sent in [
        request("POST", "/api/v1/nodes/start").json("{not json"),
        request("PUT", "/api/v1/users/u/rights/no-such-right"),
        request("PUT", "/api/v1/users/admin/password").raw("no json"),
        request("GET", "/api/v1/nodes/..%2f/log?tail=nonsense"),
    ] {
        let answer = sent.token(PLAIN).send(&front).await;
        assert_eq!((answer.status, answer.kind().as_str()), (403, "forbidden"));
    }
    // The machine is told of each, for the audit, but not of what another site's page sends.
    let sent = request("POST", "/api/v1/nodes/start").header("Origin", "http://evil.example");
    let answer = sent.token(PLAIN).json("{}").send(&front).await;
    assert_eq!(answer.status, 403);
    let noted = front.asked.lock().unwrap();
    let noted = noted.iter().filter_map(|asked| match &asked.verb {
        Verb::NoteRefusal { what, right } => Some((what.clone(), *right)),
        _ => None,
    });
    let noted: Vec<(String, Right)> = noted.collect();
    assert_eq!(noted.len(), 4, "{noted:?}");
    let first = ("POST /api/v1/nodes/start".to_owned(), Right::Operate);
    assert_eq!(noted[0], first);
}

#[tokio::test]
async fn a_request_that_may_not_ask_is_refused_while_its_body_is_still_on_the_way() {
    let server = super::harness::server_with(&FakeFront::default(), super::harness::settings());
    let text = "POST /api/v1/nodes/start HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let answer = super::harness::exchange(&server, super::harness::loopback(), text).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_first_password_is_good_for_ones_own_password_alone() {
    for (path, allowed) in [
        ("/api/v1/users/fresh/password", true),
        ("/api/v1/users/fres%68/password", true),
        ("/api/v1/users/admin/password", false),
        ("/api/v1/users/%ff/password", false),
        ("/api/v1/users/fresh", false),
        ("/api/v1/users/fresh/rights/admin", false),
    ] {
        let method = if path.ends_with("password") {
            "PUT"
        } else {
            "DELETE"
        };
        let answer = request(method, path)
            .token(FRESH)
            .json(r#"{"old":"123456","new":"a good password"}"#)
            .send(&refusing())
            .await;
        let expected = if allowed { 409 } else { 403 };
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        if !allowed {
            assert_eq!(answer.kind(), "password-change-required", "{path}");
        }
    }
}
