//! Being told to stop, by a signal or by the caller; and ending the process where it does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::model::clock::Stopwatch;

/// The time that the rest of the program may take to end after a second signal.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Tells the service to stop, and everyone in it that it was told.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    flag: Arc<AtomicBool>,
    since: Arc<OnceLock<Stopwatch>>,
    again: Arc<SetOnce<SignalKind>>,
}

/// The reason for ending the process though not everything in it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A second signal, of this number, came some time ago.
    Signal(i32),
    /// The time to end in is over.
    Late,
}

/// Ends the process where nothing else does, after so long.
#[derive(Debug, Clone, Copy)]
pub struct LastResort {
    /// The time after the first signal.
    pub within: Duration,
    /// Ends the process.
    pub end: fn(Ending),
}

/// Signals are listened for while it lives; with a last resort until the process ends, for what comes last may
/// hang too.
#[derive(Debug)]
pub(super) struct Signals(Option<CancellationToken>);

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(over) = &self.0 {
            over.cancel();
        }
    }
}

impl Stop {
    /// Stops the service: it drains and ends.
    pub fn stop(&self) {
        self.since.get_or_init(Stopwatch::start);
        self.flag.store(true, Ordering::Relaxed);
        self.token.cancel();
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// For threads that look now and then.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Waits until it is told.
    pub async fn told(&self) {
        self.token.cancelled().await;
    }

    /// Waits until it was told so long ago.
    pub(super) async fn told_since(&self, span: Duration) {
        self.told().await;
        let since = self.since.get().map_or(Duration::ZERO, |since| since.elapsed());
        tokio::time::sleep(span.saturating_sub(since)).await;
    }

    /// Waits until a second signal comes: whoever sent it does not want to wait. Returns its number.
    pub(super) async fn told_again(&self) -> i32 {
        self.again.wait().await.as_raw_value()
    }

    /// From here on the first SIGTERM or SIGINT stops it, with a word on what that means, and a second one
    /// ends [`Stop::told_again`]. The listener is a thread of its own, so that nothing else that hangs, also
    /// the runtime, keeps it from the last resort.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub(super) fn on_signals(
        &self,
        word: &'static str,
        last_resort: Option<LastResort>,
    ) -> std::io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(entered);
        let over = CancellationToken::new();
        let listening = self.clone().listen(word, terminate, interrupt, over.clone(), last_resort);
        std::thread::Builder::new()
            .name("klaxon-signals".to_owned())
            .spawn(move || runtime.block_on(listening))?;
        Ok(Signals(last_resort.is_none().then_some(over)))
    }

    async fn listen(
        self,
        word: &'static str,
        mut terminate: Signal,
        mut interrupt: Signal,
        over: CancellationToken,
        last_resort: Option<LastResort>,
    ) {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            }
        };
        tokio::select! {
            _ = next() => {}
            () = over.cancelled() => return,
        }
        self.stop();
        // Nobody may read what is said, and then saying it takes for ever.
        drop(std::thread::Builder::new().spawn(move || info!("told to stop: {word}")));
        let late = async {
            match last_resort {
                Some(last) => tokio::time::sleep(last.within).await,
                None => std::future::pending().await,
            }
        };
        let ending = tokio::select! {
            kind = next() => {
                // Nobody else sets it.
                drop(self.again.set(kind));
                tokio::time::sleep(AT_ONCE).await;
                Ending::Signal(kind.as_raw_value())
            }
            () = late => Ending::Late,
        };
        if let Some(last) = last_resort {
            (last.end)(ending);
        }
    }
}
