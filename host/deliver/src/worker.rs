//! The loop of a target's queue.

use std::time::Instant;

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::breaker::{Breaker, Leave};
use super::concurrency::Pace;
use super::gone::Gone;
use super::schedule::Line;
use super::{Delivered, LOOK, Queue, WAITS};
use klaxon_journal::{JournalError, Outbox, Settled, SettledAs, Waiting};
use klaxon_model::Backoff;
use klaxon_model::clock::{self, Stopwatch};
use klaxon_targets::{Attempt, Blame, Delivery, Trouble};

/// The most deliveries that are read at once.
const READ: usize = 256;
/// The most reads in a row.
const READS: usize = 16;

/// The reason for giving up a delivery whose body no longer matches the verdict.
const DAMAGED: &str = "its body in the journal is damaged";

/// An attempt that has ended.
struct Done {
    waiting: Waiting,
    delivery: Delivery,
    attempt: Attempt,
    began: Instant,
}

/// A running queue.
struct Work {
    queue: Queue,
    line: Line,
    pace: Pace,
    breaker: Breaker,
    gone: Gone,
    under_way: JoinSet<Done>,
    total: Delivered,
    /// `true` if the journal may have more deliveries.
    has_more: bool,
    /// `true` if the loop goes on without waiting: deliveries that were taken are gone, or there is much to
    /// read.
    is_hurried: bool,
    is_open: bool,
    is_leaving: bool,
    is_abandoned: bool,
    is_disabled: bool,
}

impl Queue {
    /// Delivers the contents of the outbox, until the queue is closed and empty.
    ///
    /// # Errors
    /// Fails if the journal can no longer be read or written.
    pub async fn run(self) -> Result<Delivered, JournalError> {
        let mut work = Work {
            line: Line::new(
                self.endpoint.is_ordered(),
                self.endpoint.coalesces(),
                self.endpoint.retry_for(),
            ),
            pace: Pace::new(self.endpoint.concurrency()),
            breaker: Breaker::default(),
            gone: Gone::default(),
            under_way: JoinSet::new(),
            total: Delivered::default(),
            has_more: true,
            is_hurried: false,
            is_open: true,
            is_leaving: false,
            is_abandoned: false,
            is_disabled: false,
            queue: self,
        };
        work.look_whether_disabled().await?;
        loop {
            work.read().await?;
            work.begin().await?;
            if work.has_ended() {
                return Ok(work.end());
            }
            work.wait().await?;
        }
    }
}

impl Work {
    async fn read(&mut self) -> Result<(), JournalError> {
        for ((rule, key), from) in self.line.take_behind() {
            let to = self.line.read();
            let next = self.ask(move |outbox| outbox.next_of(&rule, &key, from, to)).await?;
            if let Some((waiting, behind)) = next {
                self.line.push_behind(waiting, behind, Stopwatch::instant());
            }
        }
        // One key may have many deliveries; bounded reads do not delay other keys.
        for _ in 0..READS {
            if !self.has_more || !self.line.wants_more() {
                return Ok(());
            }
            let after = self.line.read();
            let read = self.ask(move |outbox| outbox.next(after, READ)).await?;
            self.has_more = read.len() == READ;
            let now = Stopwatch::instant();
            read.into_iter().for_each(|waiting| self.line.push(waiting, now));
        }
        self.is_hurried = true;
        Ok(())
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Outbox) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let outbox = self.queue.outbox.clone();
        let answer = tokio::task::spawn_blocking(move || question(&outbox)).await;
        answer.map_err(|error| JournalError::Ended(error.to_string()))?
    }

    /// Begins as many attempts as are allowed now.
    async fn begin(&mut self) -> Result<(), JournalError> {
        if self.is_disabled || self.is_abandoned {
            return Ok(());
        }
        let now = Stopwatch::instant();
        let leave = self.breaker.leave(now);
        if leave != Leave::Any {
            self.give_up_expired(now).await?;
        }
        let (room, is_probe) = match leave {
            Leave::Any => (self.pace.limit().saturating_sub(self.under_way.len()), false),
            Leave::Probe => (1, true),
            Leave::None(_) => (0, false),
        };
        let mut taken = Vec::new();
        while taken.len() < room
            && let Some(waiting) = self.line.take(now, is_probe)
        {
            taken.push(waiting);
        }
        if taken.is_empty() {
            return Ok(());
        }
        if is_probe {
            self.breaker.probing(now);
        }
        self.is_hurried = true;
        let numbers: Vec<i64> = taken.iter().map(|waiting| waiting.number).collect();
        let mut found = self.ask(move |outbox| outbox.bodies(&numbers)).await?;
        for waiting in taken {
            let delivery = match found.remove(&waiting.number) {
                Some(Some(delivery)) => delivery,
                Some(None) => {
                    self.breaker.not_probed(now);
                    self.give_up(&waiting, None, DAMAGED.to_owned(), None).await?;
                    continue;
                }
                // A newer delivery superseded it, or an operator removed it.
                None => {
                    self.breaker.not_probed(now);
                    self.line.settled(&waiting.order);
                    continue;
                }
            };
            self.is_hurried = false;
            let endpoint = self.queue.endpoint.clone();
            self.under_way.spawn(async move {
                let began = Stopwatch::instant();
                let attempt = endpoint.send(&delivery).await;
                Done { waiting, delivery, attempt, began }
            });
        }
        Ok(())
    }

    /// Gives up tried deliveries whose retry time is over while the circuit is open: they do not wait for an
    /// attempt that another delivery makes.
    async fn give_up_expired(&mut self, now: Instant) -> Result<(), JournalError> {
        while let Some(waiting) = self.line.take_expired(now) {
            self.total.dead += 1;
            error!(
                number = waiting.number,
                target = self.queue.name,
                "delivery given up: its time to be retried is over (retry.for); it is a dead letter now"
            );
            self.settle(&waiting, SettledAs::Expired).await?;
        }
        Ok(())
    }

    /// Returns `true` if the queue has ended: no delivery is under way, and none may begin.
    fn has_ended(&self) -> bool {
        if self.is_abandoned {
            return true;
        }
        let may_begin = self.line.has_fresh() || self.has_more;
        let is_stuck = self.is_disabled || self.breaker.is_open() || !may_begin;
        let is_empty = self.line.is_empty() && !self.has_more;
        !self.is_open
            && self.under_way.is_empty()
            && (is_empty || (self.is_leaving && is_stuck) || self.is_disabled)
    }

    fn end(mut self) -> Delivered {
        self.total.dead += self.queue.journal.refused(&self.queue.name);
        self.total
    }

    async fn wait(&mut self) -> Result<(), JournalError> {
        if std::mem::take(&mut self.is_hurried) {
            tokio::task::yield_now().await;
            self.is_abandoned |= self.queue.abandon.is_cancelled();
            return Ok(());
        }
        let now = Stopwatch::instant();
        let until = match self.breaker.leave(now) {
            _ if self.is_disabled => None,
            Leave::Any if self.under_way.len() < self.pace.limit() => self.line.next_due(),
            Leave::Any | Leave::None(None) => None,
            // Without fresh deliveries the probe is the first that is due.
            Leave::Probe => self.line.next_due(),
            Leave::None(until) => until,
        };
        let due = until.map_or(LOOK, |until| until.saturating_duration_since(now).min(LOOK));
        tokio::select! {
            () = self.queue.waker.notified(), if !self.has_more => self.has_more = true,
            () = self.queue.closed.cancelled(), if self.is_open => {
                self.is_open = false;
                self.has_more = true;
            }
            () = self.queue.leave.cancelled(), if !self.is_leaving => self.is_leaving = true,
            () = self.queue.abandon.cancelled(), if !self.is_abandoned => {
                self.under_way.abort_all();
                self.is_abandoned = true;
            }
            Some(done) = self.under_way.join_next() => match done {
                Ok(done) => self.judge(done).await?,
                // An attempt does not panic; if one did, its delivery must not be lost in memory.
                Err(error) => return Err(JournalError::Ended(format!("an attempt ended: {error}"))),
            },
            () = tokio::time::sleep(due) => {
                if due == LOOK {
                    self.look_whether_disabled().await?;
                    self.has_more = true;
                }
            }
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let metrics = &self.queue.metrics;
        metrics.target_pace(&self.queue.name, self.pace.limit(), self.breaker.is_open());
    }

    /// Reads from the journal if the target is disabled; an operator may have enabled it again.
    async fn look_whether_disabled(&mut self) -> Result<(), JournalError> {
        let disabled = self.ask(Outbox::disabled).await?;
        if let Some(why) = &disabled
            && !self.is_disabled
        {
            error!(
                target = self.queue.name,
                why,
                "the target is disabled: its deliveries become dead letters; hint: when its receiver is back, `klaxon journal enable` and `klaxon journal retry`"
            );
        }
        if disabled.is_none() && self.is_disabled {
            info!(target = self.queue.name, "the target is enabled again");
        }
        self.is_disabled = disabled.is_some();
        self.queue.metrics.target_disabled(&self.queue.name, self.is_disabled);
        Ok(())
    }

    /// Records the outcome of an attempt.
    async fn judge(&mut self, done: Done) -> Result<(), JournalError> {
        let Done { mut waiting, delivery, attempt, began } = done;
        let now = Stopwatch::instant();
        waiting.attempts += 1;
        let seconds = now.duration_since(began).as_secs_f64();
        let label = match &attempt {
            Attempt::Delivered => "delivered",
            Attempt::Retry(_) => "failed",
            Attempt::Refused { .. } => "refused",
        };
        self.queue.metrics.attempt(&self.queue.name, label, seconds);
        match attempt {
            Attempt::Delivered => {
                self.pace.succeeded();
                self.gone.succeeded();
                if self.breaker.succeeded(now) {
                    info!(target = self.queue.name, "the receiver is back");
                    self.line.hurry(now);
                }
                self.total.sent += 1;
                self.settle(&waiting, SettledAs::Sent).await
            }
            Attempt::Refused { why } => {
                self.breaker.not_probed(now);
                self.give_up(&waiting, Some(&delivery), why, None).await
            }
            Attempt::Retry(mut trouble) => {
                // A receiver must not defer a delivery, and those after it, until the retry time is over.
                let most = self.queue.endpoint.retry_for().saturating_mul(3) / 4;
                trouble.after = trouble.after.map(|after| after.min(most));
                self.failed(&trouble, began, now);
                if trouble.blame == Blame::Gone && self.gone.note(delivery.id, now) {
                    return self.disable(&trouble).await;
                }
                self.try_again(waiting, &delivery, trouble, now).await
            }
        }
    }

    fn failed(&mut self, trouble: &Trouble, began: Instant, now: Instant) {
        if trouble.blame == Blame::Receiver {
            self.pace.failed(began, now);
        }
        if self.breaker.failed(began, now, trouble.after) {
            warn!(
                target = self.queue.name,
                why = trouble.why,
                "the receiver fails: it is left alone, and tried now and then"
            );
        }
    }

    async fn try_again(
        &mut self,
        mut waiting: Waiting,
        delivery: &Delivery,
        trouble: Trouble,
        now: Instant,
    ) -> Result<(), JournalError> {
        let Trouble { why, response, after, .. } = trouble;
        let wall = clock::now();
        let since = *waiting.since.get_or_insert(wall);
        let left = self.line.deadline(&waiting, now).saturating_duration_since(now);
        if left.is_zero() {
            return self.give_up(&waiting, Some(delivery), why, response).await;
        }
        // The last attempt is at the end of the retry time.
        let wait = Backoff::nth(WAITS, waiting.attempts, after).min(left);
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        warn!(
            id = %delivery.id, target = delivery.target, code = delivery.code,
            why, response, wait_ms, "delivery failed and will be tried again"
        );
        self.total.retried += 1;
        let next_at = wall.plus_millis(wait_ms);
        let settled = Settled {
            number: waiting.number,
            attempts: waiting.attempts,
            as_what: SettledAs::Failed { since, next_at, why, response },
        };
        self.queue.journal.settle(settled).await?;
        // Applies also to a delivery that is left for the next run: no later one of its key may overtake it.
        self.line.delay(waiting, now, now + wait);
        Ok(())
    }

    /// Gives a delivery up as a dead letter.
    async fn give_up(
        &mut self,
        waiting: &Waiting,
        delivery: Option<&Delivery>,
        why: String,
        response: Option<String>,
    ) -> Result<(), JournalError> {
        self.total.dead += 1;
        error!(
            number = waiting.number,
            id = delivery.map(|one| one.id.as_str()),
            target = self.queue.name,
            code = delivery.map(|one| one.code.as_str()),
            why,
            response,
            "delivery given up: it is a dead letter now"
        );
        self.settle(waiting, SettledAs::Dead { why, response }).await
    }

    async fn settle(&mut self, waiting: &Waiting, as_what: SettledAs) -> Result<(), JournalError> {
        let label = if matches!(as_what, SettledAs::Sent) { "sent" } else { "dead" };
        self.queue.metrics.delivery(&self.queue.name, label, 1);
        self.line.settled(&waiting.order);
        let settled = Settled { number: waiting.number, attempts: waiting.attempts, as_what };
        self.queue.journal.settle(settled).await
    }

    /// Disables the target, because its receiver is gone for good: present and future deliveries become dead
    /// letters.
    async fn disable(&mut self, trouble: &Trouble) -> Result<(), JournalError> {
        let why = format!("the receiver says that it is gone ({})", trouble.why);
        let dead = self.queue.journal.disable(self.queue.name.clone(), why).await?;
        self.total.dead += dead;
        self.queue.metrics.delivery(&self.queue.name, "dead", dead);
        self.line.clear();
        self.look_whether_disabled().await
    }
}
