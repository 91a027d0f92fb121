//! The host's capabilities while a rule answers an event: state and the log.

#[cfg_attr(target_family = "wasm", path = "wasm.rs")]
#[cfg_attr(not(target_family = "wasm"), path = "native.rs")]
mod backend;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Duration, Error, Level};
use backend::Backend;

/// Context of one event: the rule's access to the host.
pub struct Cx {
    pub(crate) backend: Backend,
}

impl Cx {
    #[cfg(target_family = "wasm")]
    pub(crate) fn at(index: u32) -> Self {
        Self { backend: Backend::at(index) }
    }

    /// Returns the state of the event's partition. It is committed with the answer to this event, and is the
    /// only data that persists between batches.
    pub fn state(&mut self) -> State<'_> {
        State { backend: &mut self.backend }
    }

    /// Writes a line to the host's log, with a reference to the event.
    pub fn log(&mut self, level: Level, text: &str) {
        self.backend.log(level, text);
    }
}

/// Keys and values of one partition; see [`Cx::state`].
pub struct State<'a> {
    backend: &'a mut Backend,
}

impl State<'_> {
    /// Returns the value of a key; `None` if it does not exist or has expired.
    pub fn get(&self, key: &str) -> Option<String> {
        self.backend.get(key)
    }

    /// Returns the value of a key, parsed as JSON.
    ///
    /// # Errors
    /// If the value is not JSON of that type; the error names the key.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        match self.backend.get(key) {
            None => Ok(None),
            Some(text) => {
                serde_json::from_str(&text).map(Some).map_err(|error| json_error(key, error))
            }
        }
    }

    /// Stores a value until it is removed.
    pub fn put(&mut self, key: &str, value: &str) {
        self.backend.put(key, value, 0);
    }

    /// Stores a value for a duration of event time, in whole seconds, rounded up. [`Duration::ZERO`] removes
    /// the key.
    pub fn put_for(&mut self, key: &str, value: &str, time_to_live: Duration) {
        match time_to_live.whole_seconds() {
            // To the backend, 0 stands for no end.
            0 => self.backend.remove(key),
            seconds => self.backend.put(key, value, seconds),
        }
    }

    /// Stores a value as JSON until it is removed.
    ///
    /// # Errors
    /// If the value cannot be serialized as JSON, for example a map whose keys are not strings.
    pub fn put_json<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| json_error(key, error))?;
        self.backend.put(key, &text, 0);
        Ok(())
    }

    /// Returns `true` the first time for a key, and again once `period` of event time has passed since it last did:
    /// a report that is repeated at most that often. The key is in the state until then.
    pub fn once_per(&mut self, key: &str, period: Duration) -> bool {
        if period == Duration::ZERO {
            return true;
        }
        let is_first = self.get(key).is_none();
        if is_first {
            self.put_for(key, "", period);
        }
        is_first
    }

    /// Removes a key; does nothing if it does not exist.
    pub fn remove(&mut self, key: &str) {
        self.backend.remove(key);
    }

    /// Returns the keys with this prefix, sorted by bytes.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.backend.keys(prefix)
    }
}

fn json_error(key: &str, error: serde_json::Error) -> Error {
    Error::from(error).context(format_args!("state of key {key:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn once_per_is_true_again_when_the_period_of_event_time_has_passed() {
        let mut cx = Cx::at(0);
        let mut at = |seconds: i64, key: &str| {
            cx.backend.now = Timestamp::from_millis(seconds * 1000);
            cx.state().once_per(key, Duration::minutes(1))
        };
        assert_eq!([at(1, "a"), at(2, "a"), at(2, "b")], [true, false, true]);
        assert_eq!([at(60, "a"), at(61, "a"), at(120, "a")], [false, true, false]);
        let mut always = || cx.state().once_per("c", Duration::minutes(0));
        assert_eq!([always(), always()], [true, true]);
    }

    #[test]
    fn a_value_lives_as_long_as_it_is_stored_for() {
        let mut cx = Cx::at(0);
        cx.state().put_for("a", "x", Duration::millis(1));
        cx.backend.now = Timestamp::from_millis(999);
        assert_eq!(cx.state().get("a").as_deref(), Some("x"), "rounded up to a second");
        cx.backend.now = Timestamp::from_millis(1000);
        assert_eq!(cx.state().get("a"), None);
        cx.state().put("b", "x");
        cx.state().put_for("b", "y", Duration::ZERO);
        assert_eq!(cx.state().get("b"), None);
    }

    #[test]
    fn an_error_of_json_names_the_key() {
        let mut cx = Cx::at(0);
        cx.state().put("count", "many");
        let error = cx.state().get_json::<u32>("count").unwrap_err().to_string();
        assert_eq!(error, r#"state of key "count": expected value at line 1 column 1"#);
    }
}
