//! The native backend: state and log of one partition in memory, for tests and benches.

use std::collections::BTreeMap;

use super::Cx;
use crate::{Duration, Level, Timestamp};

#[derive(Default)]
pub(crate) struct Backend {
    pub(crate) now: Timestamp,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) lines: Vec<(Level, String)>,
}

pub(crate) struct Entry {
    value: String,
    /// Time of expiry; `None` if the entry never expires.
    expires_at: Option<Timestamp>,
}

impl Cx {
    // In the sandbox, the export shim calls this once per event; natively, only `testing::Scene` does.
    pub(crate) fn at(_index: u32) -> Self {
        Self { backend: Backend::default() }
    }
}

impl Backend {
    fn live(&self, entry: &Entry) -> bool {
        entry.expires_at.is_none_or(|end| self.now < end)
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        let entry = self.entries.get(key)?;
        self.live(entry).then(|| entry.value.clone())
    }

    pub(super) fn put(&mut self, key: &str, value: &str, seconds: u32) {
        let expires_at = (seconds > 0).then(|| self.now + Duration::seconds(seconds));
        self.entries.insert(key.to_owned(), Entry { value: value.to_owned(), expires_at });
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        self.entries
            .iter()
            .filter(|(key, entry)| key.starts_with(prefix) && self.live(entry))
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(super) fn log(&mut self, level: Level, text: &str) {
        self.lines.push((level, text.to_owned()));
    }
}
