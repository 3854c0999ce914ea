//! The way of a [`StoreAsk`] from a task to the machine, and of the answer back.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
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
        self.turn(patience).await?.ask(ask).await
    }

    /// Waits until a question can be put. Nothing was asked if this fails.
    pub(crate) async fn turn(&self, patience: Duration) -> Result<Turn<'_>, Refusal> {
        let until = Instant::now() + patience;
        let place = timeout_at(until, self.questions.reserve())
            .await
            .map_err(|_| undecided(patience))?
            .map_err(|_| ending())?;
        Ok(Turn {
            place,
            until,
            patience,
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
}

/// Somebody's turn to ask the machine.
pub(crate) struct Turn<'a> {
    place: mpsc::Permit<'a, StoreQuestion>,
    until: Instant,
    patience: Duration,
}

impl Turn<'_> {
    /// Asks, and waits for the answer for what is left of the patience. The machine gets the question
    /// in any case.
    pub(crate) fn ask(self, ask: StoreAsk) -> impl Future<Output = StoreReply> {
        let Self {
            place,
            until,
            patience,
        } = self;
        let (reply, mut answer) = oneshot::channel();
        place.send(StoreQuestion { ask, reply });
        async move {
            if let Ok(reply) = timeout_at(until, &mut answer).await {
                return reply.map_err(|_| ending())?;
            }
            answer.close();
            // It may have come in this very moment.
            answer
                .try_recv()
                .unwrap_or_else(|_| Err(undecided(patience)))
        }
    }
}

fn undecided(patience: Duration) -> Refusal {
    Refusal::Unavailable {
        reason: format!(
            "this node did not decide within {} s: it is overloaded or its disk is slow; see its log",
            patience.as_secs()
        ),
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

#[cfg(test)]
mod tests {
    use vaquita_core::dfs::ids::StageId;

    use super::*;

    /// Who has not got a turn has asked nothing, and still owes the machine a word.
    #[tokio::test(start_paused = true)]
    async fn without_a_turn_nothing_is_asked() {
        let (front, mut questions) = store_front(1);
        let cancel = |stage| StoreAsk::Cancel {
            stage: StageId(stage),
        };
        front.tell(cancel(1));
        let patience = Duration::from_secs(3);
        let begun = Instant::now();
        assert!(front.turn(patience).await.is_err());
        assert!(front.ask(cancel(2), patience).await.is_err());
        assert_eq!(begun.elapsed(), 2 * patience);
        assert_eq!(questions.recv().await.unwrap().ask, cancel(1));
        assert!(questions.try_recv().is_err());
        // With one, the question is asked whether anybody waits for the answer or not.
        drop(front.turn(patience).await.unwrap().ask(cancel(3)));
        assert_eq!(questions.recv().await.unwrap().ask, cancel(3));
    }
}
