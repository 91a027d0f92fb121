//! Verdicts and their deliveries as rows: what is made with a group, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::JournalError;
use super::room::{Changes, Rooms};
use super::rows::{json, run};
use crate::config::Target;
use crate::model::clock::ClockStep;
use crate::model::{Refused, RuleTarget, Timestamp, Verdict};
use crate::targets::Delivery;

/// Most refusals that are looked at together.
const ASKED: i64 = 1000;

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The delivery's number.
    pub number: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of it.
    pub as_what: SettledAs,
}

/// What came of a delivery, or of its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettledAs {
    /// The receiver has it.
    Sent,
    /// It was given up.
    Dead {
        /// Why.
        why: String,
        /// What the receiver said last.
        response: Option<String>,
    },
    /// It is not settled: it is tried again.
    Failed {
        /// The first attempt.
        since: Timestamp,
        /// The next.
        next_at: Timestamp,
        /// Why it failed.
        why: String,
        /// What the receiver said.
        response: Option<String>,
    },
}

/// Writes verdicts, their deliveries and what was refused.
pub(super) struct Outgoing<'a, 'c> {
    pub(super) to: &'a Transaction<'c>,
    pub(super) targets: &'a BTreeMap<String, Target>,
    pub(super) rooms: &'a Rooms,
    pub(super) changes: &'a mut Changes,
    pub(super) now: Timestamp,
}

impl Outgoing<'_, '_> {
    /// A verdict with an id that is there already is no news: nothing is delivered again.
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
        for name in &verdict.targets {
            let Some(target) = self.targets.get(name) else { continue };
            let delivery =
                Delivery::new(name, target, verdict).map_err(|fault| JournalError::Unwritable {
                    what: format!("verdict {} for target {name}", verdict.id),
                    why: fault.to_string(),
                })?;
            self.delivery(number, target, &delivery)?;
        }
        Ok(())
    }

    fn delivery(
        &mut self,
        verdict: i64,
        target: &Target,
        delivery: &Delivery,
    ) -> Result<(), JournalError> {
        let name = &delivery.target;
        if target.coalesce {
            self.supersede(verdict, delivery)?;
        }
        let dead = self.why_dead(delivery)?;
        let state = if dead.is_some() { "dead" } else { "pending" };
        let now = self.now.as_millis();
        let settled_at = dead.is_some().then_some(now);
        let added = self
            .to
            .prepare_cached(
                "INSERT OR IGNORE INTO deliveries \
                 (id, verdict, target, key, body, delta, state, made_at, settled_at, reason, hash, \
                  address) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
                delivery.address
            ])?;
        match (added, dead) {
            (0, _) => {}
            (_, None) => self.changes.waits(name, bytes(delivery.body.len())),
            (_, Some(_)) => self.changes.refused(name),
        }
        Ok(())
    }

    /// Why a delivery is a dead letter from the beginning.
    fn why_dead(&self, delivery: &Delivery) -> Result<Option<String>, JournalError> {
        let name = &delivery.target;
        if let Some(why) = disabled(self.to, name)? {
            return Ok(Some(format!("the target is disabled: {why}")));
        }
        let Some(room) = self.rooms.get(name) else { return Ok(None) };
        let lacks = room.lacks(self.changes.bytes(name), delivery.body.len());
        Ok(lacks.then(|| "the target's queue is full (max_queue)".to_owned()))
    }

    /// Takes back what waits of the same rule and key, and what died: sent again it would come after
    /// something newer.
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
                 (SELECT rule FROM verdicts v WHERE v.n = verdict) = ?3 RETURNING length(body)",
            )?
            .query_map(params![delivery.target, key, rule, self.now.as_millis(), verdict], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        for size in sizes {
            self.changes.settled(&delivery.target, size);
        }
        Ok(())
    }

    /// What was not granted is kept with its verdict, each target once.
    fn refused(&self, verdict: i64, refused: &[Refused]) -> Result<(), JournalError> {
        let mut seen = BTreeSet::new();
        for one in refused.iter().filter(|one| seen.insert(one.target())) {
            run(
                self.to,
                "INSERT INTO refusals (verdict, target, time, reason) VALUES (?1, ?2, ?3, ?4)",
                params![verdict, one.target(), self.now.as_millis(), one.why],
            )?;
        }
        Ok(())
    }

    /// Makes deliveries of what was refused and is asked for again, where its target exists by now.
    /// Returns whether there are more of them.
    pub(super) fn asked_again(&mut self) -> Result<bool, JournalError> {
        let mut select = self.to.prepare_cached(
            "SELECT r.n, r.target, v.n, v.body FROM refusals r JOIN verdicts v ON v.n = r.verdict \
             WHERE r.retry = 1 LIMIT ?1",
        )?;
        let rows = select
            .query_map([ASKED], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let rows: Vec<(i64, String, i64, String)> = rows.collect::<Result<_, _>>()?;
        let has_more = rows.len() >= usize::try_from(ASKED).unwrap_or(usize::MAX);
        for (number, name, verdict, body) in rows {
            match self.delivery_of(&name, verdict, &body) {
                Ok(()) => run(self.to, "DELETE FROM refusals WHERE n = ?1", [number])?,
                Err(Unmade::Why(why)) => run(
                    self.to,
                    "UPDATE refusals SET retry = 0, reason = ?2 WHERE n = ?1",
                    params![number, why],
                )?,
                Err(Unmade::Journal(fault)) => return Err(fault),
            }
        }
        Ok(has_more)
    }

    fn delivery_of(&mut self, name: &str, number: i64, body: &str) -> Result<(), Unmade> {
        // A kind of target that is not granted is kept under the kind's name.
        let target = self.targets.get(name).filter(|_| !RuleTarget::KINDS.contains(&name));
        let Some(target) = target else {
            return Err(Unmade::Why(format!(
                "there is still no target {name:?}; mend: configure it under `targets`"
            )));
        };
        let cannot = |fault: serde_json::Error| Unmade::Why(format!("it cannot be made: {fault}"));
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
        self.delivery(number, target, &delivery).map_err(Unmade::Journal)
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

    /// Records what came of a delivery.
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
            SettledAs::Sent => ("sent", None, None),
            SettledAs::Dead { why, response } => ("dead", Some(why), response.as_ref()),
        };
        // What was sent was sent, though something newer took its place meanwhile; but what was taken
        // out, or put back by an operator under another number, is not touched.
        let pending: Option<(String, i64)> = self
            .to
            .prepare_cached(
                "SELECT target, length(body) FROM deliveries WHERE n = ?1 AND state = 'pending'",
            )?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((target, size)) = &pending {
            self.changes.settled(target, *size);
        }
        if pending.is_some() || state == "sent" {
            run(
                self.to,
                "UPDATE deliveries SET state = ?2, settled_at = ?3, reason = ?4, response = ?5, \
                 attempts = ?6, next_at = NULL WHERE n = ?1",
                params![number, state, self.now.as_millis(), why, response, attempts],
            )?;
        }
        Ok(())
    }

    /// Disables a target: what waits for it are dead letters. Returns how many.
    pub(super) fn disable(&mut self, target: &str, why: &str) -> Result<u64, JournalError> {
        let now = self.now.as_millis();
        run(
            self.to,
            "INSERT OR REPLACE INTO targets (name, disabled_at, reason) VALUES (?1, ?2, ?3)",
            params![target, now, why],
        )?;
        let sizes: Vec<i64> = self
            .to
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', settled_at = ?2, reason = ?3 \
                 WHERE target = ?1 AND state = 'pending' RETURNING length(body)",
            )?
            .query_map(params![target, now, format!("the target is disabled: {why}")], |row| {
                row.get(0)
            })?
            .collect::<Result<_, _>>()?;
        for size in &sizes {
            self.changes.settled(target, *size);
        }
        Ok(sizes.len() as u64)
    }
}

/// Why there is no delivery.
enum Unmade {
    Why(String),
    Journal(JournalError),
}

fn bytes(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Of what a receiver will see.
pub(super) fn hash(delivery: &Delivery) -> i64 {
    let mut hasher = blake3::Hasher::new();
    let address = delivery.address.as_deref().unwrap_or_default();
    hasher.update(delivery.id.as_str().as_bytes()).update(address.as_bytes());
    hasher.update(&delivery.body);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Why a target is disabled, if it is.
pub(super) fn disabled(
    connection: &rusqlite::Connection,
    target: &str,
) -> Result<Option<String>, JournalError> {
    let mut select = connection.prepare_cached("SELECT reason FROM targets WHERE name = ?1")?;
    Ok(select.query_row([target], |row| row.get(0)).optional()?)
}
