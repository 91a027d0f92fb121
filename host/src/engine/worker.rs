//! A thread that runs rules.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::batch::Runner;
use super::{Answer, LoadedRule, Options, RuleIndex};
use crate::model::{Event, StateView};

/// Events of one rule for one worker, with their positions in the round.
pub(super) struct Job {
    pub(super) rule: Arc<LoadedRule>,
    state: Arc<dyn StateView>,
    positions: Vec<usize>,
    events: Vec<Arc<Event>>,
    /// After so long the rest is given back unanswered.
    patience: Option<Duration>,
    /// Told when the answers are there.
    bell: Option<Bell>,
}

/// Tells whoever waits for answers that there are some.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

impl Job {
    pub(super) fn new(
        rule: Arc<LoadedRule>,
        state: Arc<dyn StateView>,
        patience: Option<Duration>,
        bell: Option<Bell>,
    ) -> Self {
        Self { rule, state, positions: Vec::new(), events: Vec::new(), patience, bell }
    }

    pub(super) fn push(&mut self, position: usize, event: Arc<Event>) {
        self.positions.push(position);
        self.events.push(event);
    }
}

/// Answers with their positions in the round; none where the job ran out of patience before.
pub(super) type Reply = Vec<(usize, Option<Answer>)>;

type Message = (Job, SyncSender<Reply>);

/// The engine's end of a worker. Dropping it ends the thread after its last job.
pub(super) struct Worker {
    jobs: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(name: &str, options: &Options) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Message>(1);
        let options = options.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            // Room for the sandbox's stack and the host's own frames around it.
            .stack_size(4 << 20)
            .spawn(move || work(&inbox, &options))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over; waits while the worker has another one waiting.
    pub(super) fn send(&self, job: Job, reply: SyncSender<Reply>) {
        if let Some(jobs) = &self.jobs {
            // A worker that is gone drops the reply's sender, which the engine answers for.
            drop(jobs.send((job, reply)));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn work(inbox: &Receiver<Message>, options: &Options) {
    let mut runners: HashMap<RuleIndex, Runner> = HashMap::new();
    while let Ok((job, reply)) = inbox.recv() {
        let runner = runners.entry(job.rule.index).or_insert_with(|| {
            Runner::new(job.rule.clone(), options.fresh_instances, options.measure)
        });
        let answers = runner.run(&job.events, options.batch.get(), &job.state, job.patience);
        let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let reply_with = job.positions.into_iter().zip(answers).collect();
        // Nobody waits any longer where the engine is being dropped.
        drop(reply.send(reply_with));
        if let Some(bell) = job.bell {
            bell();
        }
    }
}
