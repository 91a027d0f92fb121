//! Verdicts and their deliveries as rows: written with a group, and updated by outcomes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::JournalError;
use super::quarantine::Share;
use super::quota::{Admission, Changes, Rooms, cost};
use super::write::{json, run};
use klaxon_config::Target;
use klaxon_model::clock::{self, ClockStep};
use klaxon_model::{Refused, RuleTarget, Timestamp, Verdict};
use klaxon_targets::Delivery;

/// The most refusals that are retried in one transaction.
const ASKED: i64 = 1000;
/// The reason of a delivery that is a dead letter from the beginning.
const QUEUE_FULL: &str = "the target's queue is full (max_queue)";
/// The most deliveries that one delivery displaces at once.
const DISPLACED: i64 = 256;

/// The outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery's number.
    pub number: i64,
    /// The number of attempts.
    pub attempts: u32,
    /// The outcome.
    pub as_what: SettledAs,
}

/// The outcome of a delivery, or of its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettledAs {
    /// The receiver accepted the delivery.
    Sent,
    /// The delivery was given up.
    Dead {
        /// The reason.
        why: String,
        /// The receiver's last response.
        response: Option<String>,
    },
    /// An attempt failed, and the delivery stays pending and is retried.
    Failed {
        /// The time of the first attempt.
        since: Timestamp,
        /// The time of the next attempt.
        next_at: Timestamp,
        /// The reason of the failure.
        why: String,
        /// The receiver's response.
        response: Option<String>,
    },
    /// The retry time was over before the next attempt: a dead letter with the reason of its last failure.
    Expired,
}

/// The sizes that the deliveries of one verdict share.
#[derive(Debug, Clone, Copy)]
struct Weight {
    /// The length of the verdict's JSON.
    verdict: usize,
    /// The number of the verdict's deliveries.
    targets: usize,
}

/// Writes verdicts, their deliveries and refusals in a transaction.
pub(super) struct Outgoing<'a, 'c> {
    pub(super) to: &'a Transaction<'c>,
    pub(super) targets: &'a BTreeMap<String, Target>,
    pub(super) rooms: &'a Rooms,
    pub(super) changes: &'a mut Changes,
    /// The most that is quarantined per rule.
    pub(super) quarantine: Share,
    pub(super) now: Timestamp,
}

impl<'a, 'c> Outgoing<'a, 'c> {
    /// Makes a writer into a transaction, with the present time.
    pub(super) fn new(
        to: &'a Transaction<'c>,
        targets: &'a BTreeMap<String, Target>,
        rooms: &'a Rooms,
        changes: &'a mut Changes,
        quarantine: Share,
    ) -> Self {
        Self { to, targets, rooms, changes, quarantine, now: clock::now() }
    }
}

impl Outgoing<'_, '_> {
    /// Writes a verdict and its deliveries. A verdict with a known id is a repeat and makes no deliveries.
    pub(super) fn verdict(&mut self, verdict: &Verdict) -> Result<(), JournalError> {
        let body = json("a verdict", verdict)?;
        let added = self
            .to
            .prepare_cached(
                "INSERT OR IGNORE INTO verdicts (id, time, rule, code, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                verdict.id.as_str(),
                verdict.time.as_millis(),
                &*verdict.rule,
                verdict.code,
                body
            ])?;
        if added == 0 {
            self.changes.repeats(&verdict.rule);
            return Ok(());
        }
        let number = self.to.last_insert_rowid();
        self.refused(number, &verdict.refused)?;
        let targets =
            verdict.targets.iter().filter(|name| self.targets.contains_key(*name)).count();
        let weight = Weight { verdict: body.len(), targets };
        for name in &verdict.targets {
            let Some(target) = self.targets.get(name) else { continue };
            let delivery =
                Delivery::new(name, target, verdict).map_err(|error| JournalError::Unwritable {
                    what: format!("verdict {} for target {name}", verdict.id),
                    why: error.to_string(),
                })?;
            self.delivery(number, target, &delivery, weight)?;
        }
        Ok(())
    }

    fn delivery(
        &mut self,
        verdict: i64,
        target: &Target,
        delivery: &Delivery,
        weight: Weight,
    ) -> Result<(), JournalError> {
        let name = &delivery.target;
        let rule = &delivery.order.0;
        if target.coalesce {
            self.supersede(verdict, delivery)?;
        }
        let cost = cost(delivery, weight.verdict, weight.targets);
        let dead = self.why_dead(delivery, cost)?;
        let state = if dead.is_some() { "dead" } else { "pending" };
        let now = self.now.as_millis();
        let settled_at = dead.is_some().then_some(now);
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        let added = self
            .to
            .prepare_cached(
                "INSERT OR IGNORE INTO deliveries \
                 (id, verdict, target, key, body, delta, state, made_at, settled_at, reason, hash, \
                  address, rule, cost) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                delivery.id.as_str(),
                verdict,
                name,
                delivery.order.1,
                delivery.body,
                delivery.delta,
                state,
                now,
                settled_at,
                dead,
                hash(delivery),
                delivery.address,
                rule,
                cost
            ])?;
        match (added, dead) {
            (0, _) => {}
            (_, None) => self.changes.waits(name, rule, cost),
            (_, Some(_)) => self.changes.refused(name),
        }
        Ok(())
    }

    /// Returns the reason why a delivery is a dead letter from the beginning; `None` if it is pending.
    fn why_dead(&mut self, delivery: &Delivery, cost: u64) -> Result<Option<String>, JournalError> {
        let (name, rule) = (&delivery.target, &delivery.order.0);
        if let Some(why) = disabled(self.to, name)? {
            return Ok(Some(format!("the target is disabled: {why}")));
        }
        let Some(room) = self.rooms.get(name) else { return Ok(None) };
        // Displaces at most the cost of this delivery, even if more is pending than a lowered quota allows.
        let mut freed = 0;
        while freed < cost {
            match room.admits(rule, cost, self.changes, name) {
                Admission::Admitted => return Ok(None),
                Admission::Displaces { rule, cost: lacks } => {
                    let more = self.displace(name, &rule, lacks.min(cost - freed))?;
                    if more == 0 {
                        return Ok(Some(QUEUE_FULL.to_owned()));
                    }
                    freed = freed.saturating_add(more);
                }
                Admission::Refused => return Ok(Some(QUEUE_FULL.to_owned())),
            }
        }
        Ok(None)
    }

    /// Makes dead letters of a rule's newest deliveries to a target, until `cost` is free. Returns the freed
    /// cost.
    fn displace(&mut self, target: &str, rule: &str, cost: u64) -> Result<u64, JournalError> {
        let mut select = self.to.prepare_cached(
            "SELECT n, cost FROM deliveries WHERE target = ?1 AND state = 'pending' AND rule = ?2 \
             ORDER BY n DESC LIMIT ?3",
        )?;
        let rows = select
            .query_map(params![target, rule, DISPLACED], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
        let mut freed = 0u64;
        for (number, size) in &rows {
            if freed >= cost {
                break;
            }
            run(
                self.to,
                "UPDATE deliveries SET state = 'dead', settled_at = ?2, next_at = NULL, reason = \
                 'the target''s queue is full (max_queue), and its rule has the largest share of it' \
                 WHERE n = ?1",
                [*number, self.now.as_millis()],
            )?;
            self.changes.settled(target, rule, *size);
            self.changes.refused(target);
            freed = freed.saturating_add(size.unsigned_abs());
        }
        Ok(freed)
    }

    /// Marks pending deliveries and dead letters of the same rule and key as superseded: if retried, they would
    /// arrive after a newer one.
    fn supersede(&mut self, verdict: i64, delivery: &Delivery) -> Result<(), JournalError> {
        let (rule, key) = &delivery.order;
        run(
            self.to,
            "UPDATE deliveries SET state = 'superseded' \
             WHERE target = ?1 AND key = ?2 AND state = 'dead' AND verdict < ?4 AND \
             (SELECT rule FROM verdicts v WHERE v.n = verdict) = ?3",
            params![delivery.target, key, rule, verdict],
        )?;
        let sizes: Vec<i64> = self
            .to
            .prepare_cached(
                "UPDATE deliveries SET state = 'superseded', settled_at = ?4 \
                 WHERE target = ?1 AND key = ?2 AND state = 'pending' AND verdict < ?5 AND \
                 (SELECT rule FROM verdicts v WHERE v.n = verdict) = ?3 RETURNING cost",
            )?
            .query_map(params![delivery.target, key, rule, self.now.as_millis(), verdict], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        for size in sizes {
            self.changes.settled(&delivery.target, rule, size);
        }
        Ok(())
    }

    /// Stores the refused targets of a verdict, each once.
    fn refused(&self, verdict: i64, refused: &[Refused]) -> Result<(), JournalError> {
        let mut seen = BTreeSet::new();
        for one in refused.iter().filter(|one| seen.insert(one.target())) {
            run(
                self.to,
                "INSERT INTO refusals (verdict, target, time, reason, by_name) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![verdict, one.target(), self.now.as_millis(), one.why, one.name.is_some()],
            )?;
        }
        Ok(())
    }

    /// Makes deliveries of refusals that an operator retries, if their target exists by now. Returns `true` if
    /// there may be more of them.
    pub(super) fn asked_again(&mut self) -> Result<bool, JournalError> {
        let mut select = self.to.prepare_cached(
            "SELECT r.n, r.target, v.n, v.body, r.by_name FROM refusals r JOIN verdicts v ON v.n = r.verdict \
             WHERE r.retry = 1 LIMIT ?1",
        )?;
        let rows = select.query_map([ASKED], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        let rows: Vec<(i64, String, i64, String, bool)> = rows.collect::<Result<_, _>>()?;
        let has_more = rows.len() >= usize::try_from(ASKED).unwrap_or(usize::MAX);
        for (number, name, verdict, body, is_name) in rows {
            match self.delivery_of(&name, is_name, verdict, &body) {
                Ok(()) => run(self.to, "DELETE FROM refusals WHERE n = ?1", [number])?,
                Err(Unmade::Why(why)) => run(
                    self.to,
                    "UPDATE refusals SET retry = 0, reason = ?2 WHERE n = ?1",
                    params![number, why],
                )?,
                Err(Unmade::Journal(error)) => return Err(error),
            }
        }
        Ok(has_more)
    }

    fn delivery_of(
        &mut self,
        name: &str,
        is_name: bool,
        number: i64,
        body: &str,
    ) -> Result<(), Unmade> {
        // A refusal without a target's name is stored under its kind, which for an extension is a text of the
        // rule's choice: a target with that name by chance is not meant. Rows of older versions do not
        // distinguish the two.
        let is_target = is_name && !RuleTarget::KINDS.contains(&name);
        let target = self.targets.get(name).filter(|_| is_target);
        let Some(target) = target else {
            return Err(Unmade::Why(format!(
                "there is still no target {name:?}; hint: configure it under `targets`"
            )));
        };
        let cannot = |error: serde_json::Error| Unmade::Why(format!("it cannot be made: {error}"));
        let verdict: Verdict = serde_json::from_str(body).map_err(cannot)?;
        if target.rules.as_ref().is_some_and(|rules| !rules.contains(&*verdict.rule)) {
            return Err(Unmade::Why(format!(
                "rule {:?} still may not send to target {name:?}; hint: list it in the rule's `targets` or `grants.targets`",
                &*verdict.rule
            )));
        }
        let delivery = Delivery::new(name, target, &verdict).map_err(cannot)?;
        if target.coalesce && self.has_newer(number, &delivery).map_err(Unmade::Journal)? {
            return Err(Unmade::Why("something newer of its key was delivered since".to_owned()));
        }
        let weight = Weight { verdict: body.len(), targets: 1 };
        self.delivery(number, target, &delivery, weight).map_err(Unmade::Journal)
    }

    fn has_newer(&self, verdict: i64, delivery: &Delivery) -> Result<bool, JournalError> {
        let (rule, key) = &delivery.order;
        let mut select = self.to.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries d JOIN verdicts v ON v.n = d.verdict \
             WHERE d.verdict > ?1 AND d.target = ?2 AND d.key = ?3 AND v.rule = ?4)",
        )?;
        Ok(select.query_row(params![verdict, delivery.target, key, rule], |row| row.get(0))?)
    }

    /// Records that the machine's clock was set.
    pub(super) fn clock_step(&mut self, step: &ClockStep) -> Result<(), JournalError> {
        run(
            self.to,
            "INSERT INTO clock_steps (expected, wall) VALUES (?1, ?2)",
            [step.expected.as_millis(), step.wall.as_millis()],
        )
    }

    /// Records the outcome of a delivery.
    pub(super) fn settle(&mut self, settled: &Settled) -> Result<(), JournalError> {
        let Settled { number, attempts, as_what } = settled;
        let (state, why, response) = match as_what {
            SettledAs::Failed { since, next_at, why, response } => {
                return run(
                    self.to,
                    "UPDATE deliveries SET attempts = ?2, since = ?3, next_at = ?4, reason = ?5, \
                     response = ?6 WHERE n = ?1 AND state = 'pending'",
                    params![
                        number,
                        attempts,
                        since.as_millis(),
                        next_at.as_millis(),
                        why,
                        response
                    ],
                );
            }
            SettledAs::Expired => return self.expire(*number),
            SettledAs::Sent => ("sent", None, None),
            SettledAs::Dead { why, response } => ("dead", Some(why), response.as_ref()),
        };
        // A delivery that was sent is recorded as sent even if it was superseded meanwhile. One that an
        // operator removed, or put back under another number, is not touched.
        let was_pending = self.waits_no_longer(*number)?;
        if was_pending || state == "sent" {
            run(
                self.to,
                "UPDATE deliveries SET state = ?2, settled_at = ?3, reason = ?4, response = ?5, \
                 attempts = ?6, next_at = NULL WHERE n = ?1",
                params![number, state, self.now.as_millis(), why, response, attempts],
            )?;
        }
        Ok(())
    }

    /// Makes a dead letter of a delivery whose retry time is over. The receiver's last response stays in its
    /// row.
    fn expire(&mut self, number: i64) -> Result<(), JournalError> {
        if !self.waits_no_longer(number)? {
            return Ok(());
        }
        run(
            self.to,
            "UPDATE deliveries SET state = 'dead', settled_at = ?2, next_at = NULL, \
             reason = coalesce(reason || '; ', '') || 'the time to retry it (retry.for) is over' WHERE n = ?1",
            params![number, self.now.as_millis()],
        )
    }

    /// Removes a delivery from its target's quota. Returns `true` if it was pending.
    fn waits_no_longer(&mut self, number: i64) -> Result<bool, JournalError> {
        let pending: Option<(String, String, i64)> = self
            .to
            .prepare_cached(
                "SELECT target, rule, cost FROM deliveries WHERE n = ?1 AND state = 'pending'",
            )?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((target, rule, cost)) = &pending {
            self.changes.settled(target, rule, *cost);
        }
        Ok(pending.is_some())
    }

    /// Disables a target and makes dead letters of its pending deliveries. Returns their number.
    pub(super) fn disable(&mut self, target: &str, why: &str) -> Result<u64, JournalError> {
        let now = self.now.as_millis();
        run(
            self.to,
            "INSERT OR REPLACE INTO targets (name, disabled_at, reason) VALUES (?1, ?2, ?3)",
            params![target, now, why],
        )?;
        let shares: Vec<(String, i64)> = self
            .to
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', settled_at = ?2, reason = ?3 \
                 WHERE target = ?1 AND state = 'pending' RETURNING rule, cost",
            )?
            .query_map(params![target, now, format!("the target is disabled: {why}")], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        for (rule, cost) in &shares {
            self.changes.settled(target, rule, *cost);
        }
        Ok(shares.len() as u64)
    }
}

/// The reason why no delivery was made of a refusal.
enum Unmade {
    Why(String),
    Journal(JournalError),
}

/// Returns a hash of the bytes that a receiver gets: id, address and body.
pub(super) fn hash(delivery: &Delivery) -> i64 {
    let mut hasher = blake3::Hasher::new();
    let address = delivery.address.as_deref().unwrap_or_default();
    hasher.update(delivery.id.as_str().as_bytes()).update(address.as_bytes());
    hasher.update(&delivery.body);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Returns the reason why a target is disabled; `None` if it is enabled.
pub(super) fn disabled(
    connection: &rusqlite::Connection,
    target: &str,
) -> Result<Option<String>, JournalError> {
    let mut select = connection.prepare_cached("SELECT reason FROM targets WHERE name = ?1")?;
    Ok(select.query_row([target], |row| row.get(0)).optional()?)
}
