//! The clock: the only module that reads the machine's time, so that a replay is a pure function of its
//! streams.
#![expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Timestamp;
pub use super::monotonic::ClockStep;
use super::monotonic::Steady;

static STEADY: Mutex<Option<Steady>> = Mutex::new(None);
/// Steps of the machine's clock that have not been recorded.
static STEPS: Mutex<Vec<ClockStep>> = Mutex::new(Vec::new());

/// Returns the current time. It never goes back while the process runs, and after [`not_before`] it is
/// not behind the time of an earlier run. A step forward of the machine's clock by more than an hour is
/// followed only after the clock has run evenly for ten minutes.
pub fn now() -> Timestamp {
    let mut steady = STEADY.lock().unwrap_or_else(PoisonError::into_inner);
    let (wall, at) = (wall_nanos(), since_boot());
    let steady = steady.get_or_insert_with(|| Steady::new(wall, at));
    let (now, step) = steady.now(wall, at);
    if let Some(step) = step {
        STEPS.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
    now
}

/// Continues from the time of an earlier run, unless that is more than a day ahead of the machine's
/// clock. Returns the step if the earlier time is rejected; [`take_steps`] returns it too.
pub fn not_before(last: Timestamp) -> Option<ClockStep> {
    let (wall, at) = (wall_nanos(), since_boot());
    let mut steady = STEADY.lock().unwrap_or_else(PoisonError::into_inner);
    let step = steady.get_or_insert_with(|| Steady::new(wall, at)).not_before(last);
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).extend(step);
    step
}

/// Returns the steps of the machine's clock since the last call.
pub fn take_steps() -> Vec<ClockStep> {
    std::mem::take(&mut *STEPS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the time of the machine's clock, to compare it with other clocks.
pub fn wall() -> Timestamp {
    let millis = wall_nanos().div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Returns the machine's clock in nanoseconds since the Unix epoch.
fn wall_nanos() -> i128 {
    let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}

/// Returns the time since boot, on a clock that cannot be set and that includes suspend.
fn since_boot() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

fn duration(time: rustix::time::Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Measures a duration on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts the measurement.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the current moment, to compute deadlines.
    pub fn instant() -> Instant {
        Instant::now()
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the CPU time that the calling thread has used so far.
pub fn thread_cpu_time() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}
