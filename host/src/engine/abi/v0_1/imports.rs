//! The imports of this version, handed to the capabilities.

use super::bindings::klaxon::rule::{log, state, types};
use crate::engine::host::Host;
use crate::engine::imports::log::Level;

impl types::Host for Host {}

impl state::Host for Host {
    fn get(&mut self, event: u32, key: String) -> wasmtime::Result<Option<String>> {
        self.call.state_get(event, &key)
    }

    fn put(
        &mut self,
        event: u32,
        key: String,
        value: String,
        ttl_seconds: u32,
    ) -> wasmtime::Result<()> {
        self.call.state_put(event, key, value, ttl_seconds)
    }

    fn remove(&mut self, event: u32, key: String) -> wasmtime::Result<()> {
        self.call.state_remove(event, key)
    }

    fn keys(&mut self, event: u32, prefix: String) -> wasmtime::Result<Vec<String>> {
        self.call.state_keys(event, &prefix)
    }
}

impl log::Host for Host {
    fn write(&mut self, event: u32, level: log::Level, text: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.call.write_line(event, level, text)
    }
}
