//! The time limit of a call: CPU time of its thread, with a limit by the wall clock as a safety net, so that
//! a throttled machine quarantines no event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use klaxon_model::clock::{Stopwatch, thread_cpu_time};

const TICK: Duration = Duration::from_millis(1);
/// Maximum wall-clock time of a call, as a multiple of its CPU time.
const WALL_FACTOR: u32 = 10;

/// A thread that increments the engine's epoch each millisecond, from start to drop.
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.clone(), stop.clone());
        let thread =
            std::thread::Builder::new().name("klaxon-ticker".to_owned()).spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The ticker cannot panic, and an error could not be reported here.
            drop(thread.join());
        }
    }
}

/// Error of a call that used up its time.
#[derive(Debug, thiserror::Error)]
#[error("the call used up its time ({cpu:?} of CPU, or {WALL_FACTOR} times that by the clock)")]
pub(super) struct OutOfTime {
    cpu: Duration,
}

/// Time used by the current call.
pub(super) struct Deadline {
    cpu: Duration,
    /// Set at the first tick: most calls end before it and read no clock.
    started: Option<(Duration, Stopwatch)>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self { cpu: Duration::ZERO, started: None }
    }

    /// Begins a call that may use `cpu` of CPU time.
    pub(super) fn arm(&mut self, cpu: Duration) {
        self.cpu = cpu;
        self.started = None;
    }

    /// Checks the limits; called at each tick during the call.
    pub(super) fn tick(&mut self) -> Result<(), OutOfTime> {
        let Some((cpu, wall)) = self.started else {
            self.started = Some((thread_cpu_time(), Stopwatch::start()));
            return Ok(());
        };
        let used = thread_cpu_time().saturating_sub(cpu);
        if used >= self.cpu || wall.elapsed() >= self.cpu.saturating_mul(WALL_FACTOR) {
            return Err(OutOfTime { cpu: self.cpu });
        }
        Ok(())
    }
}
