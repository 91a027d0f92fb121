//! A queue for each target: several deliveries at once, but those of one rule and key in order, each
//! retried for as long as the target says. What waits is in the journal; here is only what is under
//! way and what comes next.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::backoff::Backoff;
use crate::journal::{Handle, JournalError, Outbox, Pending, Settled};
use crate::model::clock::Stopwatch;
use crate::targets::{Attempt, Sender};

/// Deliveries that are in memory, beyond those under way.
const QUEUE: usize = 256;

/// The first wait between attempts, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(300));

/// What a target's queue did, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Delivered {
    /// Deliveries that the receiver has.
    pub sent: u64,
    /// Attempts that failed and were tried again.
    pub retried: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that wait in the journal for the next run.
    #[serde(skip_serializing_if = "is_zero")]
    pub left: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A target's queue.
pub struct Queue {
    /// The target's name.
    pub name: String,
    /// Sends.
    pub sender: Arc<Sender>,
    /// What waits.
    pub outbox: Outbox,
    /// Rings when there is more.
    pub bell: Arc<Notify>,
    /// Records what came of each.
    pub journal: Handle,
    /// Nothing more will be decided: the queue ends when it is empty.
    pub closed: CancellationToken,
    /// What fails from now on waits for the next run instead of for its next attempt.
    pub leave: CancellationToken,
}

enum Outcome {
    Sent,
    Dead(String),
    Left,
}

impl Queue {
    /// Delivers what is in the outbox, until it is closed and empty.
    ///
    /// # Errors
    /// Where the journal cannot be read or written any longer.
    pub async fn run(self) -> Result<Delivered, JournalError> {
        let mut waiting: VecDeque<Pending> = VecDeque::new();
        let mut under_way: JoinSet<(Pending, Outcome, u64)> = JoinSet::new();
        let mut busy: HashSet<(String, String)> = HashSet::new();
        let mut total = Delivered::default();
        let mut last = 0;
        let mut has_more = true;
        let mut is_open = true;
        loop {
            if has_more && waiting.len() < QUEUE / 2 {
                let most = QUEUE - waiting.len();
                let next = self.next(last, most).await?;
                has_more = next.len() == most;
                last = next.last().map_or(last, |pending| pending.number);
                waiting.extend(next);
            }
            while under_way.len() < self.sender.concurrency()
                && let Some(at) =
                    waiting.iter().position(|next| !busy.contains(&next.delivery.order))
                && let Some(pending) = waiting.remove(at)
            {
                busy.insert(pending.delivery.order.clone());
                under_way.spawn(attempt(self.sender.clone(), pending, self.leave.clone()));
            }
            // With nothing under way, what waits is behind a delivery that was left: nothing may
            // overtake it.
            if !is_open && under_way.is_empty() && (!has_more || !waiting.is_empty()) {
                total.left += waiting.len() as u64;
                return Ok(total);
            }
            tokio::select! {
                () = self.bell.notified(), if !has_more => has_more = true,
                () = self.closed.cancelled(), if is_open => {
                    is_open = false;
                    has_more = true;
                }
                Some(done) = under_way.join_next() => match done {
                    Ok((pending, outcome, retried)) => {
                        if !matches!(outcome, Outcome::Left) {
                            busy.remove(&pending.delivery.order);
                        }
                        total.retried += retried;
                        self.settle(pending, outcome, &mut total).await?;
                    }
                    // A delivery's task does not panic; if one did, its key must not stay blocked.
                    Err(fault) => {
                        error!(target = self.name, %fault, "a delivery ended without an outcome: it waits for the next run");
                        busy.clear();
                        total.left += 1;
                    }
                },
            }
        }
    }

    async fn next(&self, after: i64, most: usize) -> Result<Vec<Pending>, JournalError> {
        let outbox = self.outbox.clone();
        let read = tokio::task::spawn_blocking(move || outbox.next(after, most)).await;
        read.map_err(|fault| JournalError::Ended(fault.to_string()))?
    }

    async fn settle(
        &self,
        pending: Pending,
        outcome: Outcome,
        total: &mut Delivered,
    ) -> Result<(), JournalError> {
        let number = pending.number;
        let dead = match outcome {
            Outcome::Sent => {
                total.sent += 1;
                None
            }
            Outcome::Dead(why) => {
                total.dead += 1;
                error!(
                    id = %pending.delivery.id, target = self.name, code = pending.delivery.code,
                    why, "delivery given up: it is a dead letter now"
                );
                Some(why)
            }
            Outcome::Left => {
                total.left += 1;
                return Ok(());
            }
        };
        self.journal.settle(Settled { number, dead }).await
    }
}

/// Tries a delivery until the receiver has it or its time is over. Returns it with the outcome and how
/// often it was tried again.
async fn attempt(
    sender: Arc<Sender>,
    pending: Pending,
    leave: CancellationToken,
) -> (Pending, Outcome, u64) {
    let began = Stopwatch::start();
    let mut backoff = Backoff::new(WAITS.0, WAITS.1);
    let mut retried = 0;
    let outcome = loop {
        let (why, after) = match sender.send(&pending.delivery).await {
            Attempt::Delivered => break Outcome::Sent,
            Attempt::Retry { why, after } => (why, after),
            Attempt::Refused { why } => break Outcome::Dead(why),
        };
        let wait = backoff.next(after);
        if began.elapsed().saturating_add(wait) > sender.retry_for() {
            break Outcome::Dead(why);
        }
        warn!(
            id = %pending.delivery.id, target = pending.delivery.target,
            code = pending.delivery.code, why,
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "delivery failed and will be tried again"
        );
        retried += 1;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = leave.cancelled() => break Outcome::Left,
        }
    };
    (pending, outcome, retried)
}
