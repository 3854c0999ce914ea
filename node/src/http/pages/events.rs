//! What tells an open page that something on it has changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::time::{Instant, sleep};
use vaquita_core::admin::{Caller, Refusal, Verb};

use super::{Answer, Ending, Shared};
use crate::http::app::{App, SignedIn};
use crate::http::front::Front;
use crate::http::problem::Problem;
use crate::http::pulse::{PERIOD, Place};

/// How often figures are drawn anew.
const TICK: Duration = Duration::from_secs(5);
/// How often is asked whether the reader may still read.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

struct Watching<F> {
    app: Arc<App<F>>,
    caller: Caller,
    ending: Option<Ending>,
    seen: Option<Arc<str>>,
    ticked: Instant,
    asked: Instant,
    _place: Place,
}

pub(in crate::http) async fn stream<F: Front>(
    State(app): Shared<F>,
    Extension(SignedIn { caller, .. }): Extension<SignedIn>,
    ending: Option<Extension<Ending>>,
) -> Answer {
    let token = match &caller {
        Caller::Remote { token, .. } => token.as_deref().unwrap_or_default(),
        Caller::Console { .. } | Caller::Signal { .. } | Caller::Process { .. } => "",
    };
    let Some(place) = app.pulse.place(token) else {
        let reason = "too many pages are open at a time: close some".to_owned();
        let busy = Refusal::Unavailable { reason };
        return Err(Problem::from(busy).retry_after(Duration::from_secs(10)));
    };
    let now = Instant::now();
    let watching = Watching {
        seen: app.pulse().await,
        app,
        caller,
        ending: ending.map(|Extension(ending)| ending),
        ticked: now,
        asked: now,
        _place: place,
    };
    let mut response: Response = Sse::new(events(watching)).into_response();
    // So that no proxy on the way waits for the end.
    let unbuffered = axum::http::HeaderValue::from_static("no");
    response
        .headers_mut()
        .insert("x-accel-buffering", unbuffered);
    Ok(response)
}

fn events<F: Front>(watching: Watching<F>) -> impl Stream<Item = Result<Event, Infallible>> {
    // The first one opens the stream for the browser, which waits for a first byte.
    let hello = stream::once(async { Ok(Event::default().comment("hello").retry(PERIOD)) });
    let later = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((Ok(event), watching))
    });
    stream::StreamExt::chain(hello, later)
}

impl<F: Front> Watching<F> {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                () = ended(&mut self.ending) => return None,
                () = sleep(PERIOD) => {}
            }
            if self.asked.elapsed() >= ASKED_AGAIN {
                self.asked = Instant::now();
                let caller = self.caller.clone();
                // A machine that is overloaded, or ending, is no reason to throw anybody out.
                if let Err(Refusal::Unauthenticated | Refusal::PasswordChangeRequired { .. }) =
                    self.app.ask(caller, Verb::WhoAmI).await
                {
                    return None;
                }
            }
            let seen = self.app.pulse().await;
            if seen.is_some() && seen != self.seen {
                self.seen = seen;
                self.ticked = Instant::now();
                return Some(Event::default().event("nodes").data("changed"));
            }
            if self.ticked.elapsed() >= TICK {
                self.ticked = Instant::now();
                return Some(Event::default().event("tick").data("time"));
            }
        }
    }
}

async fn ended(ending: &mut Option<Ending>) {
    match ending {
        // An error means that the connection is gone, which is an end as well.
        Some(Ending(ending)) => drop(ending.wait_for(|begun| *begun).await),
        None => std::future::pending().await,
    }
}
