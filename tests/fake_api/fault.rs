//! Faults that a test asks for, and which request each befalls.

use std::collections::VecDeque;

use super::asked::{Asked, Verb};

/// What goes wrong with a request. Lines of a watch are counted with its bookmarks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Answers with this code and a Status.
    Status(u16),
    /// 429 with `Retry-After`.
    TooManyRequests { retry_after_seconds: u64 },
    /// 401, whatever the token.
    Unauthorized,
    /// HTTP 410, of any request: as older servers and proxies answer a watch.
    Gone,
    /// 410 of a request for the next page of a list. The list's other tokens stay valid.
    ExpiredContinue,
    /// After so many lines of a watch: a piece of another line, then a TCP reset.
    ResetAfter { lines: usize },
    /// After so many lines of a watch: its end, with nothing wrong.
    CloseAfter { lines: usize },
    /// After so many lines of a watch: nothing more, on an open connection.
    SilentAfter { lines: usize },
    /// A pause before each line of a watch and, after so many lines, nothing more on an open connection.
    SlowLines { lines: usize, millis: u64 },
    /// After so many lines of a watch: an ERROR with a Status, then the end.
    ErrorAfter { lines: usize, code: u16, reason: &'static str },
    /// Before the first line of a watch a pause, then an ERROR of an expired version, and the end.
    ExpiredAfter { millis: u64 },
    /// After so many lines of a watch: one that is not JSON; then it goes on.
    GarbageLine { after: usize },
    /// Half of a list, then the end of the connection.
    TruncatedList,
    /// The connection is reset without an answer. See `FakeApi::down` for one that is not accepted.
    RefuseConnection,
    /// A pause before the answer, which is as usual.
    Delay { millis: u64 },
    /// The first item of a list, or the first object of a watch, has a field of a wrong type.
    BadObject,
    /// The same, in its metadata: labels that are a number.
    BadMetadata,
    /// The body of a list comes in so many pieces, with pauses in between.
    SlowBody { pieces: usize, millis: u64 },
}

/// Which requests a fault may befall.
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
    /// Whether such a request can have the fault at all.
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

/// Faults that are still to come, in the order in which they were asked for.
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

    /// The fault of a request: the first that can befall it. A request has one at most.
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
