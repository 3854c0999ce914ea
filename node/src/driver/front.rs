//! The way of a question from a task to the machine, and of the answer back.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vaquita_core::admin::{Refusal, Reply, Request};

use super::DriverLimits;

/// A handle through which anything in the process asks the machine: the HTTP interface, the
/// console, a test. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    questions: mpsc::Sender<Question>,
    patience: Duration,
}

/// The other end of a [`Front`]; belongs to the driver.
#[derive(Debug)]
pub struct Questions {
    pub(crate) receiver: mpsc::Receiver<Question>,
}

/// A request and the way back to who asked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// Makes the two ends of a queue of requests.
#[must_use]
pub fn front(limits: &DriverLimits) -> (Front, Questions) {
    let (questions, receiver) = mpsc::channel(limits.requests_max.max(1));
    let front = Front {
        questions,
        patience: limits.request_timeout,
    };
    (front, Questions { receiver })
}

impl Front {
    /// Asks and waits for the answer, no longer than the process's time-out for requests.
    ///
    /// The driver writes its own date into [`Caller::Remote`](vaquita_core::admin::Caller::Remote);
    /// what the caller wrote there is ignored. Dropping the future withdraws the question, not what
    /// the machine has begun.
    pub async fn ask(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            let question = Question { request, reply };
            self.questions.send(question).await.map_err(|_| ending())?;
            answer.await.map_err(|_| ending())?
        };
        match timeout(self.patience, asking).await {
            Ok(reply) => reply,
            Err(_) => Err(Refusal::Unavailable {
                reason: format!(
                    "no answer within {} s: this process is overloaded, or what it waits for is \
                     away; see its log. Whether the order was carried out is not known",
                    self.patience.as_secs()
                ),
            }),
        }
    }
}

fn ending() -> Refusal {
    Refusal::Unavailable {
        reason: "this process is ending; ask again once it has been started".to_owned(),
    }
}
