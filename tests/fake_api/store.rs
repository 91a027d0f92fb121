//! The store of the server: objects, one revision for all kinds, and a log of changes per kind.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::kinds::{Kind, presets};
use super::object::{Body, Version};
use super::pages::Pages;

/// Most changes in the log, the same limit as that of a real watch cache. Watches from before them are too old.
const LOG: usize = 102_400;

/// Most changes that a watch takes at once.
const BATCH: usize = 256;

pub(super) type Key = (String, String);

pub(super) struct Store {
    pub(super) revision: u64,
    kinds: Vec<Registered>,
    /// Tables of removed kinds stay, because their watches still have to report the end.
    tables: Vec<Table>,
    pub(super) pages: Pages,
    uids: u64,
    names: u64,
    /// Offset of the server's clock in seconds.
    pub(super) clock_offset: i64,
    /// The time at which each revision was written.
    written: VecDeque<(Instant, u64)>,
}

/// A kind and the number of its table.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) kind: Kind,
    pub(super) table: usize,
}

#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) objects: BTreeMap<Key, Version>,
    log: VecDeque<Change>,
    /// Number of changes that were dropped from the front of the log.
    dropped: u64,
    /// The oldest revision that a watch can start from.
    pub(super) floor: u64,
    /// Generation of the watches; those of another generation end.
    streams: u64,
    removed: bool,
}

/// One write: the old and the new state.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) revision: u64,
    at: Instant,
    pub(super) old: Option<Arc<Body>>,
    pub(super) new: Option<Arc<Body>>,
}

/// The whole state of the server, like a backup of its etcd.
#[derive(Clone)]
pub(crate) struct Saved {
    revision: u64,
    kinds: Vec<Registered>,
    tables: Vec<Table>,
}

/// The progress of a watch.
pub(super) struct Position {
    table: usize,
    next: u64,
    after: u64,
    streams: u64,
}

/// The next step of a watch.
pub(super) enum Next {
    Changes(Vec<Change>),
    /// No changes up to this revision, and then none until a time.
    Idle(u64, Option<Instant>),
    Ended,
}

impl Store {
    pub(super) fn new() -> Self {
        let mut store = Self {
            revision: 100,
            kinds: Vec::new(),
            tables: Vec::new(),
            pages: Pages::default(),
            uids: 0,
            names: 0,
            clock_offset: 0,
            written: VecDeque::new(),
        };
        for kind in presets() {
            store.add_kind(kind);
        }
        store
    }

    /// Adds a kind. The kinds of both groups of Events share a table.
    pub(super) fn add_kind(&mut self, kind: Kind) {
        let same = |other: &&Registered| kind.is_event() && other.kind.is_event();
        let table = self.kinds.iter().find(same).map(|other| other.table);
        let table = table.unwrap_or_else(|| {
            self.tables.push(Table { floor: self.revision, ..Table::default() });
            self.tables.len() - 1
        });
        self.kinds.push(Registered { kind, table });
    }

    /// Deletes the objects of a kind; then its watches end and the kind is unknown.
    pub(super) fn remove_kind(&mut self, api_version: &str, kind: &str) {
        let table = self.named(Some(api_version), kind).table;
        let keys: Vec<Key> = self.tables[table].objects.keys().cloned().collect();
        for key in keys {
            self.write(table, key, None);
        }
        self.tables[table].removed = true;
        self.kinds.retain(|other| other.table != table);
    }

    /// Changes the definition of a kind: its watches end, and no watch from before can resume.
    pub(super) fn change_kind(&mut self, api_version: &str, kind: &str) {
        let table = self.named(Some(api_version), kind).table;
        self.revision += 1;
        self.tables[table].streams += 1;
        self.tables[table].floor = self.revision;
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> + Clone {
        self.kinds.iter().map(|registered| &registered.kind)
    }

    pub(super) fn served(&self, group: &str, version: &str, plural: &str) -> Option<Registered> {
        let wanted = |registered: &&Registered| {
            let kind = &registered.kind;
            kind.group == group && kind.version == version && kind.plural == plural
        };
        self.kinds.iter().find(wanted).cloned()
    }

    pub(super) fn named(&self, api_version: Option<&str>, kind: &str) -> Registered {
        let wanted = |registered: &&Registered| {
            registered.kind.kind == kind
                && api_version.is_none_or(|version| version == registered.kind.api_version())
        };
        let found = self.kinds.iter().find(wanted).cloned();
        found.unwrap_or_else(|| panic!("kind {kind} of {api_version:?} is not served"))
    }

    pub(super) fn table(&self, table: usize) -> &Table {
        &self.tables[table]
    }

    /// Creates or updates an object unconditionally. A changed uid is a new object: the old one is deleted.
    pub(super) fn put(&mut self, object: Value) -> u64 {
        let kind = object["kind"].as_str().expect("an object has a kind");
        let Registered { kind, table } = self.named(object["apiVersion"].as_str(), kind);
        let Value::Object(mut object) = object else { unreachable!() };
        let metadata = object["metadata"].as_object_mut().expect("an object has metadata");
        match kind.namespaced {
            true => _ = metadata.entry("namespace").or_insert(json!("default")),
            false => _ = metadata.remove("namespace"),
        }
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
        let key = (text("namespace").to_owned(), text("name").to_owned());
        assert!(!key.1.is_empty(), "an object has a name");
        let uid = text("uid").to_owned();
        let old = self.tables[table].objects.get(&key).map(|version| version.body.clone());
        if old.as_ref().is_some_and(|old| !uid.is_empty() && old.uid != uid) {
            self.write(table, key.clone(), None);
        }
        self.fill(&mut object, old.as_deref());
        self.write(table, key, Some(Body::new(object)))
    }

    /// Fills in the fields that the server sets: uid and creation timestamp.
    pub(super) fn fill(&mut self, object: &mut Map<String, Value>, old: Option<&Body>) {
        let metadata = object["metadata"].as_object_mut().unwrap();
        let missing = |value: Option<&Value>| value.is_none_or(Value::is_null);
        if missing(metadata.get("uid")) {
            let uid = old.map(|old| old.uid.clone()).unwrap_or_else(|| {
                self.uids += 1;
                format!("00000000-0000-4000-8000-{:012x}", self.uids)
            });
            metadata.insert("uid".to_owned(), uid.into());
        }
        if missing(metadata.get("creationTimestamp")) {
            let offset = SignedDuration::from_secs(self.clock_offset);
            let now = || format!("{:.0}", Timestamp::now() + offset);
            let created = old.map(|old| old.created.clone()).unwrap_or_else(now);
            metadata.insert("creationTimestamp".to_owned(), created.into());
        }
    }

    /// Returns the suffix of a name for `generateName`.
    pub(super) fn suffix(&mut self) -> String {
        self.names += 1;
        format!("{:05x}", self.names)
    }

    /// Writes a state of an object; `None` deletes the object.
    pub(super) fn write(&mut self, table: usize, key: Key, new: Option<Body>) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        let new = new.map(Arc::new);
        let table = &mut self.tables[table];
        let old = match new.clone() {
            Some(body) => table.objects.insert(key, Version { revision, body }),
            None => table.objects.remove(&key),
        };
        let at = Instant::now();
        self.written.push_back((at, revision));
        if self.written.len() > LOG {
            self.written.pop_front();
        }
        table.log.push_back(Change { revision, at, old: old.map(|version| version.body), new });
        if table.log.len() > LOG
            && let Some(change) = table.log.pop_front()
        {
            table.dropped += 1;
            table.floor = table.floor.max(change.revision);
        }
        revision
    }

    /// Makes every watch from before now too old; kinds without a cache only if asked for.
    pub(super) fn forget(&mut self, uncached_too: bool) {
        for registered in &self.kinds {
            if registered.kind.cached || uncached_too {
                self.tables[registered.table].floor = self.revision;
            }
        }
    }

    pub(super) fn save(&self) -> Saved {
        let (kinds, tables) = (self.kinds.clone(), self.tables.clone());
        Saved { revision: self.revision, kinds, tables }
    }

    /// Restores a backup. Uids do not start again from the backup's, because real ones are random.
    pub(super) fn restore(&mut self, saved: &Saved, bump: Option<u64>) {
        let saved = saved.clone();
        self.revision = saved.revision;
        self.kinds = saved.kinds;
        self.tables = saved.tables;
        self.pages.expire();
        if let Some(by) = bump {
            self.revision += by;
            self.forget(true);
        }
    }

    /// Returns the position of a watch that wants all changes after a revision.
    pub(super) fn position(&self, table: usize, after: u64) -> Position {
        let kept = &self.tables[table];
        let skip = kept.log.partition_point(|change| change.revision <= after);
        Position { table, next: kept.dropped + skip as u64, after, streams: kept.streams }
    }

    /// Ends the watches of an API version; they can resume.
    pub(super) fn end_watches(&mut self, api_version: &str) {
        for registered in &self.kinds {
            if registered.kind.api_version() == api_version {
                self.tables[registered.table].streams += 1;
            }
        }
    }

    /// Takes the next changes for a watch whose cache is delayed by `lag`.
    pub(super) fn next(&self, position: &mut Position, lag: Duration) -> Next {
        let now = Instant::now();
        let table = &self.tables[position.table];
        if table.streams != position.streams || position.next < table.dropped {
            return Next::Ended;
        }
        let skip = usize::try_from(position.next - table.dropped).unwrap();
        let mut coming = table.log.iter().skip(skip).peekable();
        let mut changes = Vec::new();
        while changes.len() < BATCH
            && let Some(change) = coming.next_if(|change| change.at + lag <= now)
        {
            changes.push(change.clone());
        }
        let later = coming.peek().map(|change| change.at + lag);
        position.next += changes.len() as u64;
        match changes.is_empty() {
            true if table.removed => Next::Ended,
            true if lag.is_zero() => Next::Idle(self.revision, None),
            true => {
                let mut written = self.written.iter().rev();
                let shown = written.find(|(at, _)| *at + lag <= now);
                let shown = shown.map_or(0, |(_, revision)| *revision);
                Next::Idle(shown.max(position.after), later)
            }
            false => Next::Changes(
                changes.into_iter().filter(|change| change.revision > position.after).collect(),
            ),
        }
    }
}
