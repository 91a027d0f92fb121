//! The sandbox's backend: each call goes to the host with the index of the current event.

use crate::Level;
use crate::bindings::klaxon::rule::{log, state};

pub(crate) struct Backend {
    event: u32,
}

impl Backend {
    pub(crate) fn at(event: u32) -> Self {
        Self { event }
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        state::get(self.event, key)
    }

    pub(super) fn put(&mut self, key: &str, value: &str, seconds: u32) {
        state::put(self.event, key, value, seconds);
    }

    pub(super) fn remove(&mut self, key: &str) {
        state::remove(self.event, key);
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        state::keys(self.event, prefix)
    }

    pub(super) fn log(&mut self, level: Level, text: &str) {
        log::write(self.event, level, text);
    }
}
