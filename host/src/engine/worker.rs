//! A thread that runs rules.
//!
//! A panic on it is a fault of the host, not of the rule. So no event fails: the worker makes its
//! instances anew and asks again. Where that panics too, so does whoever waits for the answers, and the
//! process ends with the reason; what was not committed is read again after the restart.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    waker: Option<Waker>,
}

/// Tells whoever waits for answers that there are some.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

impl Job {
    pub(super) fn new(
        rule: Arc<LoadedRule>,
        state: Arc<dyn StateView>,
        patience: Option<Duration>,
        waker: Option<Waker>,
    ) -> Self {
        Self { rule, state, positions: Vec::new(), events: Vec::new(), patience, waker }
    }

    pub(super) fn push(&mut self, position: usize, event: Arc<Event>) {
        self.positions.push(position);
        self.events.push(event);
    }
}

/// Answers with their positions in the round; `None` where the job ran out of patience before.
pub(super) type Reply = Result<Vec<(usize, Option<Answer>)>, Panicked>;

/// The host panicked twice on the same events.
#[derive(Debug, thiserror::Error)]
#[error(
    "the host panicked twice while rule {rule} was asked about {events} events: {message}; this is a defect of the host: nothing is lost, the events are read again after a restart; hint: report it with the log"
)]
pub(super) struct Panicked {
    rule: Arc<str>,
    events: usize,
    message: String,
}

/// The panic message where no worker answers: a worker ends with the engine only.
pub(super) const WORKER_ENDED: &str = "a thread that runs rules ended before the engine; this is a defect of the host; hint: report it with the log";

/// All jobs of a round for this worker: one message, so that a worker which is slow does not keep the
/// engine from handing the other workers theirs.
type Message = (Vec<Job>, SyncSender<Reply>);

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

    /// Hands jobs over. Each is replied to by itself, in their order.
    pub(super) fn send(&self, new: Vec<Job>, reply: SyncSender<Reply>) {
        if let Some(jobs) = &self.jobs {
            // A worker that is gone drops the reply's sender, which whoever waits for it finds.
            drop(jobs.send((new, reply)));
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

type Runners = HashMap<RuleIndex, Runner>;

fn work(inbox: &Receiver<Message>, options: &Options) {
    let mut runners = Runners::new();
    while let Ok((jobs, reply)) = inbox.recv() {
        for job in jobs {
            let answers = answer(&mut runners, &job, options);
            let answers = answers.map(|answers| {
                let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                job.positions.into_iter().zip(answers).collect()
            });
            // Nobody waits any longer where the engine is being dropped.
            drop(reply.send(answers));
            if let Some(waker) = job.waker {
                waker();
            }
        }
    }
}

/// Answers a job; after a panic with new instances, once.
fn answer(runners: &mut Runners, job: &Job, options: &Options) -> Result<Vec<Answer>, Panicked> {
    let mut attempt = || {
        // What a panic leaves of the instances is not used again.
        let answers = catch_unwind(AssertUnwindSafe(|| {
            options.panics.strike();
            let runner = runners.entry(job.rule.index).or_insert_with(|| {
                Runner::new(job.rule.clone(), options.fresh_instances, options.measure)
            });
            runner.run(&job.events, options.batch.get(), &job.state, job.patience)
        }));
        answers.map_err(|panic| {
            let broken = std::mem::take(runners);
            drop(catch_unwind(AssertUnwindSafe(|| drop(broken))));
            text_of(&*panic)
        })
    };
    attempt().or_else(|message| {
        let (rule, events) = (&job.rule.name, job.events.len());
        tracing::error!(%rule, events, panic = message, "the host panicked while it ran a rule: asking again");
        let panicked = |message| Panicked { rule: rule.clone(), events, message };
        attempt().map_err(panicked)
    })
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_owned())
}
