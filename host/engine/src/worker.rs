//! A thread that runs rules.
//!
//! A panic on a worker is an error of the host, not of the rule, so no event fails: the worker discards its
//! instances and evaluates the events again. If that panics too, the thread that waits for the answers panics
//! with the reason, and the process ends. Events that were not committed are read again after the restart.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::batch::Runner;
use super::{LoadedRule, Options};
use klaxon_model::{Answer, Event, RuleId, StateView, Waker};

/// Events of one rule for one worker, with their positions in the round.
pub(super) struct Job {
    pub(super) rule: Arc<LoadedRule>,
    state: Arc<dyn StateView>,
    positions: Vec<usize>,
    events: Vec<Arc<Event>>,
    /// Time limit; after it, the remaining events are returned unanswered.
    patience: Option<Duration>,
    /// Called when the answers are available.
    waker: Option<Waker>,
}

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

/// Answers with their positions in the round; `None` if the job reached its time limit first.
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

/// Panic message if a worker is gone: a worker ends only with the engine.
pub(super) const WORKER_ENDED: &str = "a thread that runs rules ended before the engine; this is a defect of the host; hint: report it with the log";

/// All jobs of a round for this worker in one message, so that a slow worker does not delay sending jobs to
/// the other workers.
type Message = (Vec<Job>, SyncSender<Reply>);

/// The engine's handle of a worker. Dropping it stops the thread after its last job.
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
            // Space for the sandbox's stack and the host's own frames around it.
            .stack_size(4 << 20)
            .spawn(move || work(&inbox, &options))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Sends jobs to the worker. Each job gets its own reply, in order.
    pub(super) fn send(&self, new: Vec<Job>, reply: SyncSender<Reply>) {
        if let Some(jobs) = &self.jobs {
            // If the worker is gone, the reply's sender is dropped, and the receiver notices that.
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

type Runners = HashMap<RuleId, Runner>;

fn work(inbox: &Receiver<Message>, options: &Options) {
    let mut runners = Runners::new();
    while let Ok((jobs, reply)) = inbox.recv() {
        for job in jobs {
            let answers = answer(&mut runners, &job, options);
            let answers = answers.map(|answers| {
                let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
                job.positions.into_iter().zip(answers).collect()
            });
            // Sending fails if the engine is being dropped: then the answers are not needed.
            drop(reply.send(answers));
            if let Some(waker) = job.waker {
                waker();
            }
        }
    }
}

/// Answers a job. After a panic, retries once with new instances.
fn answer(runners: &mut Runners, job: &Job, options: &Options) -> Result<Vec<Answer>, Panicked> {
    let mut attempt = || {
        // Instances are not used again after a panic.
        let answers = catch_unwind(AssertUnwindSafe(|| {
            options.panics.strike();
            let runner = runners.entry(job.rule.id).or_insert_with(|| {
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
