//! Tokens that users make for their programs, and the list of all tokens.

use std::collections::BTreeSet;

use super::change;
use super::gate::{Access, Asker, Identity, Step};
use super::login::TOKEN_LIFE_MAX;
use super::network::Network;
use super::record::{AccessRecord, TokenScope};
use super::state::{AccessState, IssuedToken, SERVICE_TOKENS_PER_USER_MAX};
use super::token::{Token, TokenId};
use crate::admin::{NewToken, Refusal, Reply, Response, Right, TokenKind, TokenRow};
use crate::prng::SecretPrng;

/// The longest label, in characters.
const LABEL_MAX: usize = 64;
/// Networks that a token may be used from.
const NETWORKS_MAX: usize = 16;

impl Access {
    /// Makes a token for a program of whoever asks.
    pub(super) fn plan_issue(
        &mut self,
        state: &AccessState,
        asker: &Asker,
        wish: NewToken,
        secrets: &mut SecretPrng,
    ) -> Step {
        match issue(state, asker, wish, secrets) {
            Ok(step) => self.announced(asker, step),
            Err(refusal) => Step::refuse(refusal),
        }
    }

    /// Voids a token.
    pub(super) fn plan_revoke_token(
        &mut self,
        state: &AccessState,
        asker: &Asker,
        token: TokenId,
    ) -> Step {
        match revoke(state, asker, token) {
            Ok(step) => self.announced(asker, step),
            Err(refusal) => Step::refuse(refusal),
        }
    }
}

fn issue(
    state: &AccessState,
    asker: &Asker,
    wish: NewToken,
    secrets: &mut SecretPrng,
) -> Result<Step, Refusal> {
    let invalid = |reason: String| Refusal::Invalid { reason };
    let (Identity::User(session), Some(origin)) = (&asker.identity, asker.origin) else {
        return Err(Refusal::Conflict {
            reason: "a token belongs to a user, and the console is none: log in first".to_owned(),
        });
    };
    let user = session.user.clone();
    let account = state.user(user.as_str()).ok_or(Refusal::Unauthenticated)?;
    let NewToken {
        label,
        valid_for,
        rights,
        networks,
    } = wish;
    let label = label.trim().to_owned();
    let length = label.chars().count();
    if length == 0 || length > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(invalid(format!(
            "a label says what the token is for, in 1 to {LABEL_MAX} characters without line breaks"
        )));
    }
    if valid_for.is_zero() || valid_for > TOKEN_LIFE_MAX {
        return Err(invalid(format!(
            "a token is good for 1 to {} seconds",
            TOKEN_LIFE_MAX.as_secs()
        )));
    }
    let rights: Option<BTreeSet<Right>> = rights.map(|rights| rights.into_iter().collect());
    // Nobody gives more than they have.
    let beyond = rights.iter().flatten().find(|right| !account.has(**right));
    if let Some(right) = beyond {
        return Err(Refusal::Forbidden {
            user: user.as_str().to_owned(),
            right: *right,
        });
    }
    if networks.len() > NETWORKS_MAX {
        return Err(invalid(format!(
            "a token may be used from {NETWORKS_MAX} networks at most; leave them out, and it may be \
             used from everywhere"
        )));
    }
    let networks = networks.iter().map(|text| Network::parse(text));
    let networks: BTreeSet<Network> = networks
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    let now = origin.unix_ms;
    let own = state.tokens();
    let own = own.filter(|(_, it)| *it.user() == user && it.label().is_some());
    let (living, expired): (Vec<_>, Vec<_>) = own.partition(|(_, it)| now < it.expires_unix_ms);
    if living.iter().any(|(_, it)| it.label() == Some(&label)) {
        return Err(Refusal::Conflict {
            reason: format!(
                "there is a token `{}` of yours already; revoke it first (`vaquita token list`), or \
                 take another label",
                label.escape_debug()
            ),
        });
    }
    if living.len() >= SERVICE_TOKENS_PER_USER_MAX {
        return Err(Refusal::Conflict {
            reason: format!(
                "you have {SERVICE_TOKENS_PER_USER_MAX} tokens, as many as one can have; revoke one \
                 that is not needed: `vaquita token list`"
            ),
        });
    }
    let mut token = Token::draw(secrets);
    while state.token(token.id()).is_some() {
        token = Token::draw(secrets);
    }
    let valid_ms = u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX);
    let dropped = in_the_way(living.len(), expired, &label);
    let scope = TokenScope {
        label,
        rights,
        networks: networks.into_iter().collect(),
    };
    let issued = IssuedToken {
        digest: token.digest(),
        user: user.clone(),
        issued_unix_ms: now,
        expires_unix_ms: now.saturating_add(valid_ms.max(1)),
        scope: Some(scope.clone()),
    };
    let response = Response::TokenIssued {
        token: token.reveal(),
        row: row(token.id(), &issued, None),
    };
    let record = AccessRecord::TokenIssued {
        token: token.id(),
        digest: issued.digest,
        user,
        issued_unix_ms: issued.issued_unix_ms,
        expires_unix_ms: issued.expires_unix_ms,
        scope: Some(scope),
    };
    // The new one comes first: the entry of the audit goes with the first record.
    let mut records = vec![record];
    let dropped = dropped.into_iter();
    records.extend(dropped.map(|token| AccessRecord::TokenRevoked { token }));
    Ok(Step::Append(records, response))
}

/// Which expired tokens give way to a new one: those with its label, and those that expired first where a
/// user has too many with them. No more than that: a clock that is wrong for a moment shall cost nobody
/// their tokens.
fn in_the_way(
    living: usize,
    mut expired: Vec<(TokenId, &IssuedToken)>,
    label: &String,
) -> Vec<TokenId> {
    expired.sort_by_key(|(id, it)| (it.label() != Some(label), it.expires_unix_ms, *id));
    let alike = expired.iter().filter(|(_, it)| it.label() == Some(label));
    let beyond = (living + 1 + expired.len()).saturating_sub(SERVICE_TOKENS_PER_USER_MAX);
    let dropped = beyond.max(alike.count());
    let dropped = expired.into_iter().take(dropped);
    dropped.map(|(id, _)| id).collect()
}

/// One's own tokens, a program the one that it carries alone, an administrator any.
fn revoke(state: &AccessState, asker: &Asker, token: TokenId) -> Result<Step, Refusal> {
    let identity = &asker.identity;
    let may = |issued: &IssuedToken| match identity {
        Identity::Console | Identity::Signal | Identity::Process => true,
        Identity::Stranger => false,
        Identity::User(session) => {
            let own = *issued.user() == session.user;
            let carried = state.token(session.token);
            let by_program = carried.is_some_and(|it| it.label().is_some());
            (own && (!by_program || session.token == token)) || identity.has(state, Right::Admin)
        }
    };
    if !state.token(token).is_some_and(may) {
        return Err(Refusal::NotFound {
            what: format!(
                "there is no token {token} that you may revoke; `vaquita token list` shows yours"
            ),
        });
    }
    let record = AccessRecord::TokenRevoked { token };
    Ok(Step::Append(vec![record], Response::Done))
}

/// The tokens of whoever asks, or of everybody.
pub(super) fn list(state: &AccessState, identity: &Identity, all: bool) -> Reply {
    let session = match identity {
        Identity::Console | Identity::Signal | Identity::Process => None,
        Identity::Stranger => return Err(Refusal::Unauthenticated),
        Identity::User(session) => Some(session),
    };
    let mine = |issued: &IssuedToken| session.is_some_and(|it| it.user == *issued.user());
    let rows = state
        .tokens()
        .filter(|(_, issued)| all || mine(issued))
        .map(|(id, issued)| row(id, issued, session.map(|it| it.token)));
    Ok(Response::Tokens(rows.collect()))
}

fn row(id: TokenId, issued: &IssuedToken, carried: Option<TokenId>) -> TokenRow {
    let scope = issued.scope.as_ref();
    TokenRow {
        id: id.to_string(),
        kind: match scope {
            None => TokenKind::Session,
            Some(_) => TokenKind::Token,
        },
        label: scope.map(|it| it.label.clone()),
        user: issued.user.as_str().to_owned(),
        issued_unix_ms: issued.issued_unix_ms,
        expires_unix_ms: issued.expires_unix_ms,
        rights: scope.and_then(|it| Some(it.rights.as_ref()?.iter().copied().collect())),
        networks: scope.map_or_else(Vec::new, |it| {
            it.networks.iter().map(ToString::to_string).collect()
        }),
        current: carried == Some(id),
    }
}

/// What the log file says of a token that was issued.
pub(super) fn event_text(token: TokenId, user: &str, scope: Option<&TokenScope>) -> String {
    match scope {
        None => format!("token {token} was issued to `{user}`"),
        Some(scope) => format!(
            "token {token} ({}) of `{user}` was made for a program",
            change::shown(&scope.label)
        ),
    }
}
