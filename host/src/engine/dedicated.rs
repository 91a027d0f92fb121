//! A thread for one rule that is behind: what it does holds up nobody.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use super::worker::{Job, Reply, WORKER_ENDED, Waker, Worker};
use super::{Answer, LoadedRule, Options, Sandbox};
use crate::model::{Event, StateView};

/// A rule on a thread of its own. Dropping it ends the thread after the call that it is in.
pub struct Dedicated {
    rule: Arc<LoadedRule>,
    patience: Option<Duration>,
    waker: Option<Waker>,
    worker: Worker,
    asked: Option<Receiver<Reply>>,
    // Dropped last: the call under way needs its clock to end, for which the worker waits.
    _sandbox: Arc<Sandbox>,
}

impl Dedicated {
    pub(super) fn start(
        rule: &Arc<LoadedRule>,
        options: &Options,
        patience: Option<Duration>,
        waker: Option<Waker>,
        sandbox: Arc<Sandbox>,
    ) -> std::io::Result<Self> {
        let worker = Worker::start("klaxon-behind", options)?;
        Ok(Self { rule: rule.clone(), patience, waker, worker, asked: None, _sandbox: sandbox })
    }

    /// Whether it was asked something and has not answered.
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Asks about events, in order; to be done when it is not asked anything else.
    pub fn ask(&mut self, state: &Arc<dyn StateView>, events: Vec<Arc<Event>>) {
        let (reply, replies) = sync_channel(1);
        self.asked = Some(replies);
        let mut job = Job::new(self.rule.clone(), state.clone(), self.patience, self.waker.clone());
        for (position, event) in events.into_iter().enumerate() {
            job.push(position, event);
        }
        self.worker.send(vec![job], reply);
    }

    /// The answers, in order, once they are there; the last events may have none, the first has one.
    ///
    /// # Panics
    /// Where the thread panicked twice on the events, as [`Engine::evaluate`](super::Engine::evaluate).
    pub fn answers(&mut self) -> Option<Vec<Option<Answer>>> {
        let replies = self.asked.take()?;
        match replies.try_recv() {
            Ok(Ok(answers)) => Some(answers.into_iter().map(|(_, answer)| answer).collect()),
            Ok(Err(panicked)) => panic!("{panicked}"),
            Err(TryRecvError::Empty) => {
                self.asked = Some(replies);
                None
            }
            Err(TryRecvError::Disconnected) => panic!("{WORKER_ENDED}"),
        }
    }
}
