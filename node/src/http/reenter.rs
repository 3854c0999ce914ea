//! The password once more, for what gives up data or an identity.
//!
//! A session is whoever sits at the browser; such an order takes the one who knows the password, and so does
//! making another who could give it: a token with all rights, an administrator, a password of somebody else.
//! The forms ask for it, once in five minutes, and a session alone carries none of that out, neither from the
//! forms nor through the API. A token that stands in a header was put there on purpose.

use axum::http::StatusCode;
use vaquita_core::admin::{Caller, Response, Verb};

use super::app::App;
use super::front::Front;
use super::gate::unexpected;
use super::handlers::session::password as bounded;
use super::pages::{Form, Visit};
use super::problem::Problem;

/// The field of forms that it is typed into; `password` is that of somebody who is made.
const FIELD: &str = "own_password";
/// How long the proof could be used as a login, were it not ended at once.
const PROOF_LIFE: core::time::Duration = core::time::Duration::from_secs(60);

/// Has whoever sent a form prove to know the password; failures count as failed logins.
pub(super) async fn prove<F: Front>(
    app: &App<F>,
    visit: &Visit,
    form: &Form,
) -> Result<(), Problem> {
    // A token that stands in a header was put there on purpose.
    let (Caller::Remote { address, .. }, Some(session)) = (visit.caller(), visit.session()) else {
        return Ok(());
    };
    let Some(password) = form.get(FIELD) else {
        return match app.sessions.is_proved(session) {
            true => Ok(()),
            false => Err(Problem::invalid(visit.words().password_needed)),
        };
    };
    let anew = |token| Caller::Remote {
        address: *address,
        token,
        unix_ms: 0,
    };
    let verb = Verb::Login {
        user: visit.user_name().to_owned(),
        password: bounded(password.to_owned())?,
        valid_for: PROOF_LIFE,
        setup_code: None,
    };
    match app.work(anew(None), verb).await {
        Ok(Response::LoggedIn { token, .. }) => {
            // Whether or not that is heard: it is over in a minute.
            drop(app.ask(anew(Some(token)), Verb::Logout).await);
            app.sessions.prove(session);
            Ok(())
        }
        Ok(other) => Err(unexpected(&other)),
        Err(problem) if problem.kind() == "wrong-password" => {
            Err(Problem::invalid(visit.words().wrong_password_nothing_done))
        }
        Err(problem) => Err(problem),
    }
}

/// What a session alone is answered that asks the API for such an order.
pub(super) fn needed() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "password-needed",
        "this gives up data or an identity, or makes somebody who could, and takes the password once more: \
         use the form on the page of the node, of repair, of users or of the account; programs show a token \
         in the `Authorization` header",
    )
}
