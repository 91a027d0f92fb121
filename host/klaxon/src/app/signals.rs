//! Stopping by a signal or by the caller, and ending a process that does not stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use tracing::info;

use klaxon_model::clock::Stopwatch;

/// The time that the rest of the program has to end after a second signal.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Requests that the service stops, and notifies its parts. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    flag: Arc<AtomicBool>,
    since: Arc<OnceLock<Stopwatch>>,
    again: Arc<SetOnce<SignalKind>>,
}

/// The reason for ending the process before all of its parts have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A second signal, of this number, arrived, and the process did not end within a second.
    Signal(i32),
    /// The time limit for the shutdown is over.
    Late,
}

/// Ends the process after a time limit, if nothing else does.
#[derive(Debug, Clone, Copy)]
pub struct LastResort {
    /// The time limit, counted from the first signal.
    pub within: Duration,
    /// Ends the process.
    pub end: fn(Ending),
}

/// The guard of the signal listener: dropping it ends the listener. With a last resort the listener stays until the
/// process ends, since the end of the process may hang too.
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
    /// Requests the stop: the service drains and ends.
    pub fn stop(&self) {
        self.since.get_or_init(Stopwatch::start);
        self.flag.store(true, Ordering::Relaxed);
        self.token.cancel();
    }

    /// Returns `true` if the stop was requested.
    pub fn is_requested(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Returns the flag of the request, for threads that poll.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Waits until the stop is requested.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Waits until `span` has passed since the stop was requested.
    pub(super) async fn told_since(&self, span: Duration) {
        self.requested().await;
        let since = self.since.get().map_or(Duration::ZERO, |since| since.elapsed());
        tokio::time::sleep(span.saturating_sub(since)).await;
    }

    /// Waits for a second signal, whose sender does not want to wait for the drain. Returns its number.
    pub(super) async fn told_again(&self) -> i32 {
        self.again.wait().await.as_raw_value()
    }

    /// Installs the signal handlers: the first SIGTERM or SIGINT requests the stop and logs `word`; a second one
    /// completes [`Stop::told_again`]. The listener runs on a thread of its own, so that no hang, not even of the
    /// service's runtime, prevents the last resort.
    ///
    /// # Errors
    /// Returns an error if the handlers cannot be installed.
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
        // Logged on a thread of its own: writing blocks forever if stderr is not read.
        drop(std::thread::Builder::new().spawn(move || info!("{word}")));
        let late = async {
            match last_resort {
                Some(last) => tokio::time::sleep(last.within).await,
                None => std::future::pending().await,
            }
        };
        let ending = tokio::select! {
            kind = next() => {
                // The value is set only here, so setting cannot fail.
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
