//! What a rule may ask of the host while it answers an event: state and the log.

#[cfg_attr(target_family = "wasm", path = "wasm.rs")]
#[cfg_attr(not(target_family = "wasm"), path = "native.rs")]
mod backend;

use serde::{Serialize, de::DeserializeOwned};

use crate::Level;
use backend::Backend;

/// The host, as seen from one event.
pub struct Cx {
    pub(crate) backend: Backend,
}

impl Cx {
    #[cfg(target_family = "wasm")]
    pub(crate) fn at(index: u32) -> Self {
        Self { backend: Backend::at(index) }
    }

    /// State of the event's partition. It is committed with the answer to this event, and is all
    /// that lasts between batches.
    pub fn state(&mut self) -> State<'_> {
        State { backend: &mut self.backend }
    }

    /// Writes a line to the host's log, tied to the event.
    pub fn log(&mut self, level: Level, text: &str) {
        self.backend.log(level, text);
    }
}

/// Keys and values of one partition; see [`Cx::state`].
pub struct State<'a> {
    backend: &'a mut Backend,
}

impl State<'_> {
    /// The value of a key; none where there is none or its time to live is over.
    pub fn get(&self, key: &str) -> Option<String> {
        self.backend.get(key)
    }

    /// The value of a key, read as JSON.
    ///
    /// # Errors
    /// Where the value is not JSON of that type: name the key in the rule's error.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        match self.backend.get(key) {
            None => Ok(None),
            Some(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| format!("state of key {key:?}: {error}")),
        }
    }

    /// Keeps a value until it is removed.
    pub fn put(&mut self, key: &str, value: &str) {
        self.backend.put(key, value, 0);
    }

    /// Keeps a value for so many seconds of event time; 0: until it is removed.
    pub fn put_for(&mut self, key: &str, value: &str, seconds: u32) {
        self.backend.put(key, value, seconds);
    }

    /// Keeps a value as JSON until it is removed.
    ///
    /// # Errors
    /// Where the value cannot be written as JSON, such as a map whose keys are no strings.
    pub fn put_json<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), String> {
        let text = serde_json::to_string(value)
            .map_err(|error| format!("state of key {key:?}: {error}"))?;
        self.backend.put(key, &text, 0);
        Ok(())
    }

    /// Removes a key; nothing happens where there is none.
    pub fn remove(&mut self, key: &str) {
        self.backend.remove(key);
    }

    /// Keys with this prefix, sorted by bytes.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.backend.keys(prefix)
    }
}
