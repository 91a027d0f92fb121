//! The validated policy: suppression and delay of a rule's verdicts before delivery.

mod file;

use std::time::Duration;

pub use file::Equal;
pub(super) use file::{PolicyFile, cycles};

/// Suppression and delay of a rule's verdicts before delivery. The default suppresses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The time after a delivered firing before it is delivered again. `None` if repeats are not suppressed.
    pub repeat: Option<Duration>,
    /// `true` if each firing is delivered once, and a resolved only after a firing.
    pub pair: bool,
    /// The inhibitors: while one of them fires, this rule's firings stay pending.
    pub inhibited_by: Vec<Inhibitor>,
    /// The maximum number of deliveries in a time.
    pub throttle: Option<Throttle>,
    /// The time without a verdict after which an incident counts as over.
    pub forget: Duration,
    /// The rate limit of writes to one object of the cluster.
    pub budget: Budget,
}

/// A token bucket: `burst` writes at once, and one more after each `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The number of writes at once.
    pub burst: u32,
    /// The time after which one more write is permitted.
    pub per: Duration,
}

impl Default for Budget {
    /// Returns the limit that Kubernetes' own components have for Events about one object.
    fn default() -> Self {
        Self { burst: 25, per: Duration::from_secs(300) }
    }
}

impl Default for Policy {
    fn default() -> Self {
        let (repeat, throttle) = (None, None);
        Self {
            repeat,
            pair: false,
            inhibited_by: Vec::new(),
            throttle,
            forget: file::WEEK,
            budget: Budget::default(),
        }
    }
}

impl Policy {
    /// Returns a policy that suppresses nothing and limits no writes, for a run without an operator, such as a test of
    /// a rule.
    pub fn unlimited() -> Self {
        let budget = Budget { burst: u32::MAX, per: Duration::ZERO };
        Self { budget, ..Self::default() }
    }

    /// Returns `true` if the policy neither suppresses nor delays verdicts.
    pub fn is_empty(&self) -> bool {
        self.repeat.is_none()
            && !self.pair
            && self.inhibited_by.is_empty()
            && self.throttle.is_none()
    }
}

/// A code of another rule that inhibits a rule's firings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibitor {
    /// The other rule's configured name.
    pub rule: String,
    /// The other rule's code.
    pub code: String,
    /// The property that both incidents share.
    pub equal: Equal,
    /// The longest time for which one incident stays pending.
    pub at_most: Duration,
}

/// A maximum number of deliveries in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// The number of deliveries.
    pub count: u32,
    /// The time, counted from the first delivery.
    pub per: Duration,
    /// `true` if a digest of the suppressed verdicts is sent at the end of the time.
    pub digest: bool,
}

#[cfg(test)]
mod tests;
