//! How long a call may run: CPU time of its thread, with the wall clock as a net, so that a
//! throttled machine sets no event aside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::model::clock::{Stopwatch, thread_cpu_time};

const TICK: Duration = Duration::from_millis(1);
/// A call may take so many times its CPU time by the wall clock.
const WALL_FACTOR: u32 = 10;

/// A thread that moves the engine's epoch each millisecond, from start to drop.
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
            // It cannot panic, and there is nobody to tell.
            drop(thread.join());
        }
    }
}

/// A call used up its time.
#[derive(Debug, thiserror::Error)]
#[error("the call used up its time ({cpu:?} of CPU, or {WALL_FACTOR} times that by the clock)")]
pub(super) struct OutOfTime {
    cpu: Duration,
}

/// The time of the call at hand.
pub(super) struct Deadline {
    cpu: Duration,
    /// Taken at the first tick: most calls are over before it and ask no clock at all.
    started: Option<(Duration, Stopwatch)>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self { cpu: Duration::ZERO, started: None }
    }

    /// A call begins that may use so much CPU time.
    pub(super) fn arm(&mut self, cpu: Duration) {
        self.cpu = cpu;
        self.started = None;
    }

    /// Called at each tick while the call runs.
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
