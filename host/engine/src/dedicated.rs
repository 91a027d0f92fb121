//! A thread for one lagging rule, so that it delays no other rule.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use super::worker::{Job, Reply, WORKER_ENDED, Worker};
use super::{LoadedRule, Options, Sandbox};
use klaxon_model::{Answer, Dedicated, Event, StateView, Waker};

/// A rule on its own thread. Dropping it stops the thread after the call in progress.
pub(super) struct DedicatedThread {
    rule: Arc<LoadedRule>,
    patience: Option<Duration>,
    waker: Option<Waker>,
    worker: Worker,
    asked: Option<Receiver<Reply>>,
    // Dropped last: the worker waits for the call in progress, which the sandbox's ticker interrupts.
    _sandbox: Arc<Sandbox>,
}

impl DedicatedThread {
    pub(super) fn start(
        rule: &Arc<LoadedRule>,
        options: &Options,
        patience: Option<Duration>,
        waker: Option<Waker>,
        sandbox: Arc<Sandbox>,
    ) -> std::io::Result<Self> {
        let worker = Worker::start("klaxon-lagging", options)?;
        Ok(Self { rule: rule.clone(), patience, waker, worker, asked: None, _sandbox: sandbox })
    }
}

impl Dedicated for DedicatedThread {
    fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    fn ask(&mut self, state: &Arc<dyn StateView>, events: Vec<Arc<Event>>) {
        let (reply, replies) = sync_channel(1);
        self.asked = Some(replies);
        let mut job = Job::new(self.rule.clone(), state.clone(), self.patience, self.waker.clone());
        for (position, event) in events.into_iter().enumerate() {
            job.push(position, event);
        }
        self.worker.send(vec![job], reply);
    }

    /// # Panics
    /// If the thread panicked twice on the events; see [`Engine`](super::Engine).
    fn answers(&mut self) -> Option<Vec<Option<Answer>>> {
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
