//! Outcomes of attempts to deliver.

use std::time::Duration;

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver accepted the delivery.
    Delivered,
    /// The attempt failed, and a later one may succeed.
    Retry(Trouble),
    /// No attempt can succeed.
    Refused {
        /// The reason, without secrets.
        why: String,
    },
}

/// The error of a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The reason, without secrets.
    pub why: String,
    /// The beginning of the receiver's response, without secrets.
    pub response: Option<String>,
    /// The wait before the next attempt that the receiver asks for.
    pub after: Option<Duration>,
    /// The origin of the error.
    pub blame: Blame,
}

/// The origin of an error, as far as the sender can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The receiver is unavailable, broken or overloaded: other deliveries would fail too, and fewer at once
    /// may help.
    Receiver,
    /// The receiver refused the credentials: perhaps a secret was replaced.
    Credentials,
    /// The receiver answered that it is gone for good (HTTP 410).
    Gone,
    /// Perhaps only this delivery.
    Delivery,
}

impl Trouble {
    /// Makes an error of a receiver that is unavailable or broken.
    pub(super) fn of_receiver(why: impl Into<String>) -> Self {
        Self { why: why.into(), response: None, after: None, blame: Blame::Receiver }
    }
}
