//! Liveness of a thread: its current activity, and since when.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::Stopwatch;

/// The activity of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// The thread waits for work: there is nothing to do.
    Idle,
    /// The thread works, and sets the next activity when it moves on to another one.
    Works(Cow<'static, str>),
    /// The thread waits for a resource that another process would have to wait for too.
    Waits(Cow<'static, str>),
}

/// Liveness of one thread, observed by a watchdog on another thread.
#[derive(Debug)]
pub struct Pulse(Mutex<(Doing, Stopwatch)>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new((Doing::Idle, Stopwatch::start())))
    }
}

impl Pulse {
    /// Records that there is nothing to do, which counts as progress for any length of time.
    pub fn idle(&self) {
        self.set(Doing::Idle);
    }

    /// Records work that should not last.
    pub fn works(&self, what: impl Into<Cow<'static, str>>) {
        self.set(Doing::Works(what.into()));
    }

    /// Records a wait that ending the process would not shorten.
    pub fn waits(&self, what: impl Into<Cow<'static, str>>) {
        self.set(Doing::Waits(what.into()));
    }

    /// Returns the work that has lasted longer than `after`, with its duration.
    pub fn stalled(&self, after: Duration) -> Option<String> {
        self.lasting(after, |doing| match doing {
            Doing::Works(what) => Some(what),
            Doing::Idle | Doing::Waits(_) => None,
        })
    }

    /// Returns the wait that has lasted longer than `after`, with its duration.
    pub fn waiting(&self, after: Duration) -> Option<String> {
        self.lasting(after, |doing| match doing {
            Doing::Waits(what) => Some(what),
            Doing::Idle | Doing::Works(_) => None,
        })
    }

    fn lasting(
        &self,
        after: Duration,
        pick: impl Fn(&Doing) -> Option<&Cow<'static, str>>,
    ) -> Option<String> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = state.1.elapsed();
        let what = pick(&state.0).filter(|_| elapsed >= after)?;
        Some(format!("{what} for {} s", elapsed.as_secs()))
    }

    fn set(&self, doing: Doing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (doing, Stopwatch::start());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_lasts_is_a_stall() {
        let (now, never) = (Duration::ZERO, Duration::from_secs(3600));
        let pulse = Pulse::default();
        assert_eq!((pulse.stalled(now), pulse.waiting(now)), (None, None));
        pulse.works("evaluating rule a");
        assert_eq!(pulse.stalled(now).as_deref(), Some("evaluating rule a for 0 s"));
        assert_eq!((pulse.stalled(never), pulse.waiting(now)), (None, None));
        pulse.waits("waiting for room");
        assert_eq!((pulse.stalled(now), pulse.waiting(never)), (None, None));
        assert_eq!(pulse.waiting(now).as_deref(), Some("waiting for room for 0 s"));
        pulse.idle();
        assert_eq!((pulse.stalled(now), pulse.waiting(now)), (None, None));
    }
}
