//! How much of the journal each target may fill with what waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use tracing::{error, info};

use super::JournalError;
use crate::config::{Target, WhenFull};
use crate::model::clock::Stopwatch;

/// How long intake waits before it looks again whether there is room.
const LOOK: Duration = Duration::from_millis(20);

/// A wait that is shorter is not worth a line.
const TELL: Duration = Duration::from_secs(1);

/// A target's share.
#[derive(Debug)]
pub(super) struct Room {
    most: u64,
    when_full: WhenFull,
    /// Bytes that wait.
    bytes: AtomicU64,
    /// Deliveries that wait.
    count: AtomicU64,
    /// Deliveries for which there was no room, or no target any longer.
    refused: AtomicU64,
}

impl Room {
    fn of(target: &Target) -> Self {
        Self {
            most: target.max_queue,
            when_full: target.when_full,
            bytes: AtomicU64::new(0),
            count: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether a delivery must become a dead letter, after a change by so many bytes that is not on disk
    /// yet. One
    /// always finds room in an empty queue, however large it is.
    pub(super) fn lacks(&self, before: i64, bytes: usize) -> bool {
        let waiting = self.bytes.load(Ordering::Relaxed).saturating_add_signed(before);
        self.when_full == WhenFull::DeadLetter
            && waiting > 0
            && waiting.saturating_add(bytes as u64) > self.most
    }

    fn blocks(&self) -> bool {
        self.when_full == WhenFull::Block && self.bytes.load(Ordering::Relaxed) >= self.most
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Bytes and deliveries that wait.
    pub(super) fn waiting(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }
}

/// The shares of all targets. Only the writer changes what waits.
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

    /// Counts what waits in the file. Returns the targets that nobody knows any longer, with how many
    /// deliveries wait for each.
    pub(super) fn count(
        &self,
        connection: &Connection,
    ) -> Result<Vec<(String, i64)>, JournalError> {
        let mut select = connection.prepare_cached(
            "SELECT target, count(*), sum(length(body)) FROM deliveries WHERE state = 'pending' \
             GROUP BY target",
        )?;
        let mut found: BTreeMap<String, (i64, i64)> = select
            .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
            .collect::<Result<_, _>>()?;
        for (name, room) in &self.0 {
            let (count, bytes) = found.remove(name).unwrap_or_default();
            room.count.store(count.unsigned_abs(), Ordering::Relaxed);
            room.bytes.store(bytes.unsigned_abs(), Ordering::Relaxed);
        }
        Ok(found.into_iter().map(|(name, (count, _))| (name, count)).collect())
    }

    /// Takes in what a transaction that is on disk has changed.
    pub(super) fn apply(&self, changes: &Changes) {
        for (target, change) in &changes.0 {
            if let Some(room) = self.0.get(target) {
                add(&room.count, change.count);
                add(&room.bytes, change.bytes);
                room.refused.fetch_add(change.refused, Ordering::Relaxed);
            }
        }
    }

    /// Waits while a target is full that the operator told to block; not when there is no time.
    pub(super) fn wait(&self, gives_up: &AtomicBool) {
        let full = || self.0.iter().find(|(_, room)| room.blocks()).map(|(name, _)| name);
        let since = Stopwatch::start();
        let mut is_told = false;
        while let Some(target) = full()
            && !gives_up.load(Ordering::Relaxed)
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
    let magnitude = change.unsigned_abs();
    if change < 0 {
        // An operator may have taken something out in between.
        let less = |before: u64| Some(before.saturating_sub(magnitude));
        to.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or_default();
    } else {
        to.fetch_add(magnitude, Ordering::Relaxed);
    }
}

/// What a transaction changes of what waits, by target; and the verdicts of each rule whose ids were
/// there already.
#[derive(Debug, Default)]
pub(super) struct Changes(BTreeMap<String, Change>, BTreeMap<String, u64>);

#[derive(Debug, Default)]
struct Change {
    count: i64,
    bytes: i64,
    refused: u64,
}

impl Changes {
    fn of(&mut self, target: &str) -> &mut Change {
        self.0.entry(target.to_owned()).or_default()
    }

    /// A delivery of so many bytes waits.
    pub(super) fn waits(&mut self, target: &str, bytes: i64) {
        let change = self.of(target);
        change.count += 1;
        change.bytes += bytes;
    }

    /// A delivery of so many bytes waits no longer.
    pub(super) fn settled(&mut self, target: &str, bytes: i64) {
        let change = self.of(target);
        change.count -= 1;
        change.bytes -= bytes;
    }

    /// A delivery is a dead letter from the beginning.
    pub(super) fn refused(&mut self, target: &str) {
        self.of(target).refused += 1;
    }

    /// A verdict of a rule is ignored, for its id is there already.
    pub(super) fn repeats(&mut self, rule: &str) {
        *self.1.entry(rule.to_owned()).or_default() += 1;
    }

    /// Verdicts that were ignored, by rule.
    pub(super) fn repeated(&self) -> impl Iterator<Item = (&str, u64)> {
        self.1.iter().map(|(rule, count)| (rule.as_str(), *count))
    }

    /// Bytes that were added for a target, and are not on disk yet; below 0 where more were taken back.
    pub(super) fn bytes(&self, target: &str) -> i64 {
        self.0.get(target).map_or(0, |change| change.bytes)
    }

    /// Targets of which something has changed, with what was refused.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, change)| (name.as_str(), change.refused))
    }
}
