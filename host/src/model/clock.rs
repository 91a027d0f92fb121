//! The only place that asks the machine for the time, so that a replay is a pure function of its
//! streams.
#![expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Timestamp;
pub use super::monotonic::ClockStep;
use super::monotonic::Steady;

static STEADY: Mutex<Option<Steady>> = Mutex::new(None);
/// Steps of the machine's clock that nobody has recorded.
static STEPS: Mutex<Vec<ClockStep>> = Mutex::new(Vec::new());

/// What time it is. It never goes back while the process runs, and after [`not_before`] not behind the
/// time of an earlier one; a step of the machine's clock by more than an hour is followed only when it has
/// proved right.
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

/// Goes on from the time of an earlier run, if the machine's clock is behind it by no more than a day.
/// Returns the step where that time is not believed; it is among [`take_steps`] too.
pub fn not_before(last: Timestamp) -> Option<ClockStep> {
    let (wall, at) = (wall_nanos(), since_boot());
    let mut steady = STEADY.lock().unwrap_or_else(PoisonError::into_inner);
    let step = steady.get_or_insert_with(|| Steady::new(wall, at)).not_before(last);
    STEPS.lock().unwrap_or_else(PoisonError::into_inner).extend(step);
    step
}

/// Steps of the machine's clock since this was last asked.
pub fn take_steps() -> Vec<ClockStep> {
    std::mem::take(&mut *STEPS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What the machine's clock says, for those who compare it with theirs.
pub fn wall() -> Timestamp {
    let millis = wall_nanos().div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// Nanoseconds since the Unix epoch.
fn wall_nanos() -> i128 {
    let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}

/// On a clock that nobody sets, and that goes on while the machine sleeps.
fn since_boot() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

fn duration(time: rustix::time::Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Measures how long something takes, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// This moment, for those who plan moments to come.
    pub fn instant() -> Instant {
        Instant::now()
    }

    /// Since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// CPU time that the calling thread has used so far.
pub fn thread_cpu_time() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}
