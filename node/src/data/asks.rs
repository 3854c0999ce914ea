//! The way of a [`StoreAsk`] from a task to the machine, and of the answer back.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vaquita_core::admin::Refusal;
use vaquita_core::store::{StoreAnswer, StoreAsk, StoreReply};

/// A handle through which the data plane asks a data node's machine. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct StoreFront {
    questions: mpsc::Sender<StoreQuestion>,
}

/// A question and the way back to who asked.
#[derive(Debug)]
pub(crate) struct StoreQuestion {
    pub(crate) ask: StoreAsk,
    pub(crate) reply: oneshot::Sender<StoreReply>,
}

/// Makes the two ends.
pub(crate) fn store_front(waiting_max: usize) -> (StoreFront, mpsc::Receiver<StoreQuestion>) {
    let (questions, receiver) = mpsc::channel(waiting_max.max(1));
    (StoreFront { questions }, receiver)
}

impl StoreFront {
    /// Asks and waits for the answer, no longer than `patience`.
    ///
    /// If nobody waits any more when a stage is admitted, the driver cancels it.
    pub(crate) async fn ask(&self, ask: StoreAsk, patience: Duration) -> StoreReply {
        let (reply, mut answer) = oneshot::channel();
        let asking = async {
            let question = StoreQuestion { ask, reply };
            self.questions.send(question).await.map_err(|_| ending())?;
            (&mut answer).await.map_err(|_| ending())?
        };
        if let Ok(reply) = timeout(patience, asking).await {
            return reply;
        }
        answer.close();
        // It may have come in this very moment.
        answer.try_recv().unwrap_or_else(|_| {
            Err(Refusal::Unavailable {
                reason: format!(
                    "this node did not decide within {} s: it is overloaded or its disk is slow; \
                     see its log",
                    patience.as_secs()
                ),
            })
        })
    }

    /// Tells the machine something whose answer nobody waits for.
    pub(crate) fn tell(&self, ask: StoreAsk) {
        let (reply, _) = oneshot::channel();
        let question = StoreQuestion { ask, reply };
        if let Err(mpsc::error::TrySendError::Full(question)) = self.questions.try_send(question)
            && let Ok(runtime) = Handle::try_current()
        {
            let questions = self.questions.clone();
            runtime.spawn(async move { questions.send(question).await });
        }
    }

    /// Asks for something whose only good answer is `done`.
    pub(crate) async fn order(&self, ask: StoreAsk, patience: Duration) -> Result<(), Refusal> {
        match self.ask(ask, patience).await? {
            StoreAnswer::Done => Ok(()),
            other => Err(odd(&other)),
        }
    }
}

/// The refusal that stands for an answer to another question.
pub(crate) fn odd(answer: &StoreAnswer) -> Refusal {
    Refusal::Unavailable {
        reason: format!("this node answered another question: {answer:?}. That is a bug"),
    }
}

fn ending() -> Refusal {
    Refusal::Unavailable {
        reason: "this process is ending, or keeps no chunks".to_owned(),
    }
}
