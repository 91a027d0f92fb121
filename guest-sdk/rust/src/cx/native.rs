//! On a native target: one partition's state and log in memory, for tests and benches.

use std::collections::BTreeMap;

use super::Cx;
use crate::{Level, Timestamp};

#[derive(Default)]
pub(crate) struct Backend {
    pub(crate) now: Timestamp,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) lines: Vec<(Level, String)>,
}

pub(crate) struct Entry {
    value: String,
    /// 0: it stays until it is removed.
    expires_at: Timestamp,
}

impl Cx {
    // The export shim of the sandbox makes one per event; natively only the tests' scene does.
    pub(crate) fn at(_index: u32) -> Self {
        Self { backend: Backend::default() }
    }
}

impl Backend {
    fn live(&self, entry: &Entry) -> bool {
        entry.expires_at == 0 || self.now < entry.expires_at
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        let entry = self.entries.get(key)?;
        self.live(entry).then(|| entry.value.clone())
    }

    pub(super) fn put(&mut self, key: &str, value: &str, seconds: u32) {
        let expires_at = match seconds {
            0 => 0,
            _ => self.now.saturating_add(i64::from(seconds) * 1000),
        };
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
