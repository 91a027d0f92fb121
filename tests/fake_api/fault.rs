//! Fault injection: the faults that a test asks for, and the requests that they apply to.

use std::collections::VecDeque;

use super::asked::{Asked, Verb};

/// A failure to inject into a request. Line counts of a watch include its bookmarks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Answers with this code and a Status.
    Status(u16),
    /// 429 with `Retry-After`.
    TooManyRequests { retry_after_seconds: u64 },
    /// 401 for any token.
    Unauthorized,
    /// HTTP 410 for any request: older servers and proxies answer a watch like this.
    Gone,
    /// 410 for a request for the next page of a list. The list's other tokens stay valid.
    ExpiredContinue,
    /// After `lines` lines of a watch: part of another line, then a TCP reset.
    ResetAfter { lines: usize },
    /// After `lines` lines of a watch: an orderly end.
    CloseAfter { lines: usize },
    /// After `lines` lines of a watch: nothing more, on an open connection.
    SilentAfter { lines: usize },
    /// A pause before each line of a watch and, after `lines` lines, nothing more on an open connection.
    SlowLines { lines: usize, millis: u64 },
    /// After `lines` lines of a watch: an ERROR with a Status, then the end.
    ErrorAfter { lines: usize, code: u16, reason: &'static str },
    /// Before the first line of a watch: a pause, then an ERROR for an expired version, and the end.
    ExpiredAfter { millis: u64 },
    /// After `after` lines of a watch: a line that is not JSON; then the watch continues.
    GarbageLine { after: usize },
    /// Half of a list, then the end of the connection.
    TruncatedList,
    /// The connection is reset without an answer. See `FakeApi::down` for one that is not accepted.
    RefuseConnection,
    /// A pause before the usual answer.
    Delay { millis: u64 },
    /// The first item of a list, or the first object of a watch, has a field of a wrong type.
    BadObject,
    /// Like [`Fault::BadObject`], but in the metadata: the labels are a number.
    BadMetadata,
    /// The body of a list is sent in `pieces` pieces, with pauses in between.
    SlowBody { pieces: usize, millis: u64 },
}

/// A filter of the requests that a fault applies to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    plural: Option<String>,
    verb: Option<Verb>,
}

impl Matching {
    pub(crate) fn verb(verb: Verb) -> Self {
        Self { verb: Some(verb), plural: None }
    }

    pub(crate) fn plural(plural: &str) -> Self {
        Self { plural: Some(plural.to_owned()), verb: None }
    }

    pub(crate) fn of(verb: Verb, plural: &str) -> Self {
        Self { verb: Some(verb), plural: Some(plural.to_owned()) }
    }

    fn matches(&self, asked: &Asked) -> bool {
        self.verb.is_none_or(|verb| verb == asked.verb)
            && self.plural.as_ref().is_none_or(|plural| plural == asked.plural())
    }
}

impl Fault {
    /// Returns `true` if the fault is possible for such a request.
    fn suits(&self, asked: &Asked) -> bool {
        match self {
            Self::ResetAfter { .. }
            | Self::CloseAfter { .. }
            | Self::SilentAfter { .. }
            | Self::SlowLines { .. }
            | Self::ErrorAfter { .. }
            | Self::ExpiredAfter { .. }
            | Self::GarbageLine { .. } => asked.verb == Verb::Watch,
            Self::TruncatedList | Self::SlowBody { .. } => asked.verb == Verb::List,
            Self::ExpiredContinue => {
                asked.verb == Verb::List && !asked.param("continue").is_empty()
            }
            Self::BadObject | Self::BadMetadata => matches!(asked.verb, Verb::List | Verb::Watch),
            _ => true,
        }
    }
}

/// Pending faults, in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Faults {
    waiting: VecDeque<(Fault, Matching, usize)>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, matching: Matching, times: usize) {
        if times > 0 {
            self.waiting.push_back((fault, matching, times));
        }
    }

    /// Takes the fault of a request: the first that applies to it. A request has at most one.
    pub(super) fn take(&mut self, asked: &Asked) -> Option<Fault> {
        let found = self
            .waiting
            .iter()
            .position(|(fault, matching, _)| matching.matches(asked) && fault.suits(asked))?;
        let (fault, _, times) = &mut self.waiting[found];
        *times -= 1;
        let (fault, left) = (fault.clone(), *times);
        if left == 0 {
            self.waiting.remove(found);
        }
        Some(fault)
    }

    pub(super) fn left(&self) -> usize {
        self.waiting.iter().map(|(_, _, times)| times).sum()
    }
}
