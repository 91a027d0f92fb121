//! What is held back between a rule's verdicts and their delivery, checked.

mod file;

use std::time::Duration;

pub use file::Equal;
pub(super) use file::{PolicyFile, cycles};

/// What is held back between a rule's verdicts and their delivery. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A firing that was delivered is delivered again only after so long.
    pub repeat: Option<Duration>,
    /// Each firing is delivered once, and a resolved only after a firing.
    pub pair: bool,
    /// While one of these fires, firings are held.
    pub inhibited_by: Vec<Inhibitor>,
    /// At most so many deliveries.
    pub throttle: Option<Throttle>,
    /// An incident that no verdict touched for so long is over.
    pub forget: Duration,
    /// Writes to one object of the cluster.
    pub budget: Budget,
}

/// So many at once, and one more in each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// So many at once …
    pub burst: u32,
    /// … and one more after each of these.
    pub per: Duration,
}

impl Default for Budget {
    /// What Kubernetes' own components may write of Events about one object.
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
    /// Whether it holds no verdict back.
    pub fn is_empty(&self) -> bool {
        self.repeat.is_none()
            && !self.pair
            && self.inhibited_by.is_empty()
            && self.throttle.is_none()
    }
}

/// What holds a rule's firings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibitor {
    /// The other rule's configured name.
    pub rule: String,
    /// Its code.
    pub code: String,
    /// What the two have in common.
    pub equal: Equal,
    /// Longest time that it holds one incident.
    pub at_most: Duration,
}

/// At most so many deliveries in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// So many …
    pub count: u32,
    /// … in this time from the first.
    pub per: Duration,
    /// Whether receivers are told at its end what was held back.
    pub digest: bool,
}

#[cfg(test)]
mod tests;
