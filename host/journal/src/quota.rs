//! Quotas: the part of the journal that pending deliveries of one target may take, and its division among
//! rules.
//!
//! A quota counts the cost of a delivery ([`cost`]), not only its body. When a target's quota is used up, a
//! rule that has no more than its fair share (the quota divided by the number of rules with deliveries in it)
//! is still admitted, and the newest deliveries of the rule with the largest share become dead letters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::JournalError;
use klaxon_config::{Target, WhenFull};
use klaxon_model::clock::Stopwatch;
use klaxon_targets::Delivery;

/// The interval of checking for free capacity while intake waits.
const LOOK: Duration = Duration::from_millis(20);

/// The shortest wait that is logged.
const TELL: Duration = Duration::from_secs(1);

/// The size of SQLite's pages.
const PAGE: usize = 4096;
/// The bytes of a page that rows can use.
const USABLE: usize = 4050;
/// The bytes of a delivery's row, and of its entries in indexes, besides its texts.
const DELIVERY: (usize, usize) = (110, 130);
/// The bytes of a verdict's row, and of its entries in indexes, besides its texts.
const VERDICT: (usize, usize) = (70, 80);

/// Returns the bytes of the journal that a delivery takes: its row, its entries in indexes, and its share of a
/// verdict that goes to several targets.
pub(super) fn cost(delivery: &Delivery, verdict: usize, targets: usize) -> u64 {
    let (rule, key) = &delivery.order;
    let address = delivery.address.as_deref().map_or(0, str::len);
    let names = rule.len() + key.len() + delivery.target.len();
    let own = row(DELIVERY.0 + names + address + delivery.body.len()) + DELIVERY.1 + names;
    let shared = row(VERDICT.0 + verdict) + VERDICT.1;
    (own + shared / targets.max(1)) as u64
}

/// Returns the bytes that a row takes, including the unused part of its pages.
fn row(bytes: usize) -> usize {
    match USABLE / bytes.max(1) {
        0 => bytes.next_multiple_of(PAGE),
        rows => PAGE / rows,
    }
}

/// A target's quota, and its use.
#[derive(Debug)]
pub(super) struct Room {
    most: u64,
    when_full: WhenFull,
    /// The cost of the pending deliveries.
    cost: AtomicU64,
    /// The number of pending deliveries.
    count: AtomicU64,
    /// The number of deliveries that became dead letters because of the quota or a disabled target.
    refused: AtomicU64,
    /// The cost of the pending deliveries, by rule.
    shares: Mutex<BTreeMap<String, u64>>,
}

/// The decision about a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The delivery becomes pending.
    Admitted,
    /// The delivery is a dead letter from the beginning: its rule has its fair share of a quota that is used
    /// up.
    Refused,
    /// Deliveries of another rule, which exceeds its fair share, have to be displaced first.
    Displaces {
        /// The rule with the largest share.
        rule: String,
        /// The cost that exceeds the quota.
        cost: u64,
    },
}

impl Room {
    fn of(target: &Target) -> Self {
        Self {
            most: target.max_queue,
            when_full: target.when_full,
            cost: AtomicU64::new(0),
            count: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            shares: Mutex::default(),
        }
    }

    /// Decides about a delivery of a rule, considering changes that are not on disk yet. An empty queue admits
    /// a delivery of any size.
    pub(super) fn admits(
        &self,
        rule: &str,
        cost: u64,
        changes: &Changes,
        target: &str,
    ) -> Admission {
        let change = changes.targets.get(target);
        let waiting = self.cost.load(Ordering::Relaxed);
        let waiting = waiting.saturating_add_signed(change.map_or(0, |change| change.cost));
        let lacks = waiting.saturating_add(cost).saturating_sub(self.most);
        if self.when_full == WhenFull::Block || waiting == 0 || lacks == 0 {
            return Admission::Admitted;
        }
        let mut shares = self.shares().clone();
        for (rule, more) in change.iter().flat_map(|change| &change.shares) {
            add_to(shares.entry(rule.clone()).or_default(), *more);
        }
        let own = shares.remove(rule).unwrap_or(0);
        let others = shares.into_iter().filter(|(_, cost)| *cost > 0);
        let others: Vec<(String, u64)> = others.collect();
        let fair = self.most / (others.len() as u64 + 1);
        let largest = others.into_iter().max_by_key(|(_, cost)| *cost);
        match largest {
            Some((rule, most)) if own.saturating_add(cost) <= fair && most > fair => {
                Admission::Displaces { rule, cost: lacks }
            }
            _ => Admission::Refused,
        }
    }

    fn blocks(&self) -> bool {
        self.when_full == WhenFull::Block && self.cost.load(Ordering::Relaxed) >= self.most
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the cost and the number of the pending deliveries.
    pub(super) fn waiting(&self) -> (u64, u64) {
        (self.cost.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }

    fn apply(&self, change: &Change) {
        add(&self.count, change.count);
        add(&self.cost, change.cost);
        self.refused.fetch_add(change.refused, Ordering::Relaxed);
        let mut shares = self.shares();
        for (rule, more) in &change.shares {
            add_to(shares.entry(rule.clone()).or_default(), *more);
        }
        shares.retain(|_, cost| *cost > 0);
    }
}

/// The quotas of all targets. Only the writer changes their use.
#[derive(Debug)]
pub(super) struct Rooms(BTreeMap<String, Room>);

impl Rooms {
    pub(super) fn of(targets: &BTreeMap<String, Target>) -> Self {
        Self(targets.iter().map(|(name, target)| (name.clone(), Room::of(target))).collect())
    }

    pub(super) fn get(&self, target: &str) -> Option<&Room> {
        self.0.get(target)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Room)> {
        self.0.iter().map(|(name, room)| (name.as_str(), room))
    }

    /// Returns `true` if no delivery is pending for any target.
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|room| room.count.load(Ordering::Relaxed) == 0)
    }

    /// Counts the pending deliveries in the file. Returns the targets that are no longer configured, with the
    /// number of pending deliveries of each.
    pub(super) fn count(
        &self,
        connection: &Connection,
    ) -> Result<Vec<(String, i64)>, JournalError> {
        let mut select = connection.prepare_cached(
            "SELECT target, rule, count(*), sum(cost) FROM deliveries WHERE state = 'pending' \
             GROUP BY target, rule",
        )?;
        let rows = select
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
        let mut found: BTreeMap<String, Vec<(String, i64, i64)>> = BTreeMap::new();
        for row in rows {
            let (target, share): (String, (String, i64, i64)) = row?;
            found.entry(target).or_default().push(share);
        }
        for (name, room) in &self.0 {
            let shares = found.remove(name).unwrap_or_default();
            let sum = |of: fn(&(String, i64, i64)) -> i64| -> u64 {
                shares.iter().map(of).map(i64::unsigned_abs).sum()
            };
            room.count.store(sum(|share| share.1), Ordering::Relaxed);
            room.cost.store(sum(|share| share.2), Ordering::Relaxed);
            let shares = shares.into_iter().map(|(rule, _, cost)| (rule, cost.unsigned_abs()));
            *room.shares() = shares.collect();
        }
        let orphans = found.into_iter().map(|(name, shares)| {
            let count = shares.iter().map(|(_, count, _)| count).sum();
            (name, count)
        });
        Ok(orphans.collect())
    }

    /// Applies the changes of a transaction that is on disk.
    pub(super) fn apply(&self, changes: &Changes) {
        for (target, change) in &changes.targets {
            if let Some(room) = self.0.get(target) {
                room.apply(change);
            }
        }
    }

    /// Waits while the quota of a target with `when_full: block` is used up, and `gives_up` is not cancelled.
    pub(super) fn wait(&self, gives_up: &CancellationToken) {
        let full = || self.0.iter().find(|(_, room)| room.blocks()).map(|(name, _)| name);
        let since = Stopwatch::start();
        let mut is_told = false;
        while let Some(target) = full()
            && !gives_up.is_cancelled()
        {
            if !is_told && since.elapsed() >= TELL {
                error!(target, "the target's queue is full: intake waits until there is room");
                is_told = true;
            }
            std::thread::sleep(LOOK);
        }
        if is_told {
            info!("the targets' queues have room again: intake goes on");
        }
    }
}

fn add(to: &AtomicU64, change: i64) {
    let changed = |before: u64| Some(before.saturating_add_signed(change));
    // Saturates at zero: an operator may have removed deliveries in between.
    to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed).unwrap_or_default();
}

fn add_to(to: &mut u64, change: i64) {
    *to = to.saturating_add_signed(change);
}

/// The changes of one transaction.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The changes of the pending deliveries, by target.
    targets: BTreeMap<String, Change>,
    /// The number of quarantined events that were removed, by rule.
    quarantine: BTreeMap<String, u64>,
    /// The number of verdicts that were ignored because their ids are known, by rule.
    repeated: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Change {
    count: i64,
    cost: i64,
    shares: BTreeMap<String, i64>,
    refused: u64,
}

impl Changes {
    fn of(&mut self, target: &str) -> &mut Change {
        self.targets.entry(target.to_owned()).or_default()
    }

    fn change(&mut self, target: &str, rule: &str, count: i64, cost: i64) {
        let change = self.of(target);
        change.count += count;
        change.cost += cost;
        match change.shares.get_mut(rule) {
            Some(share) => *share += cost,
            None => drop(change.shares.insert(rule.to_owned(), cost)),
        }
    }

    /// Records a delivery that becomes pending.
    pub(super) fn waits(&mut self, target: &str, rule: &str, cost: i64) {
        self.change(target, rule, 1, cost);
    }

    /// Records a delivery that is no longer pending.
    pub(super) fn settled(&mut self, target: &str, rule: &str, cost: i64) {
        self.change(target, rule, -1, -cost);
    }

    /// Records a dead letter, made because its target's quota is used up or the target is disabled.
    pub(super) fn refused(&mut self, target: &str) {
        self.of(target).refused += 1;
    }

    /// Records a verdict of a rule that is ignored because its id is known.
    pub(super) fn repeats(&mut self, rule: &str) {
        *self.repeated.entry(rule.to_owned()).or_default() += 1;
    }

    /// Returns the number of verdicts that were ignored, by rule.
    pub(super) fn repeated(&self) -> impl Iterator<Item = (&str, u64)> {
        self.repeated.iter().map(|(rule, count)| (rule.as_str(), *count))
    }

    /// Records that the oldest quarantined events of a rule were removed.
    pub(super) fn quarantine_removed(&mut self, rule: Option<&str>, count: usize) {
        if count > 0 {
            *self.quarantine.entry(rule.unwrap_or_default().to_owned()).or_default() +=
                count as u64;
        }
    }

    /// Returns the targets that have changed, with the number of refused deliveries.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.targets.iter().map(|(name, change)| (name.as_str(), change.refused))
    }

    /// Returns the number of quarantined events that were removed, by rule. The rule name is empty for objects
    /// that could not be decoded.
    pub(super) fn quarantine(&self) -> impl Iterator<Item = (&str, u64)> {
        self.quarantine.iter().map(|(name, count)| (name.as_str(), *count))
    }
}
