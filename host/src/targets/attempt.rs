//! What came of trying to deliver.

use std::time::Duration;

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Delivered,
    /// It may work later.
    Retry(Trouble),
    /// It will not work, however often it is tried.
    Refused {
        /// Why, without secrets.
        why: String,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Why, without secrets.
    pub why: String,
    /// The beginning of what the receiver said, without secrets.
    pub response: Option<String>,
    /// How long the receiver wants to be left alone.
    pub after: Option<Duration>,
    /// Who is at fault.
    pub blame: Blame,
}

/// Who is at fault, as far as one can tell from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The receiver is away, broken or overloaded: others would fare no better, and fewer at once may.
    Receiver,
    /// It does not know us: perhaps a secret was replaced.
    Credentials,
    /// It says that it is gone for good (HTTP 410).
    Gone,
    /// Perhaps only this delivery.
    Delivery,
}

impl Trouble {
    /// The receiver is away or broken.
    pub(super) fn of_receiver(why: impl Into<String>) -> Self {
        Self { why: why.into(), response: None, after: None, blame: Blame::Receiver }
    }
}
