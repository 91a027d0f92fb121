//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::SetOnce;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Tells the service to stop, and everyone in it that it was told.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    flag: Arc<AtomicBool>,
    again: Arc<SetOnce<SignalKind>>,
}

impl Stop {
    /// Stops the service: it drains and ends.
    pub fn stop(&self) {
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

    /// Waits until a second signal comes: whoever sent it does not want to wait. Returns its number.
    pub(super) async fn told_again(&self) -> i32 {
        self.again.wait().await.as_raw_value()
    }

    /// From here on the first SIGTERM or SIGINT stops it, with a word on what that means, and a second one
    /// ends [`Stop::told_again`].
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub(super) fn on_signals(
        &self,
        word: &'static str,
    ) -> std::io::Result<tokio::task::JoinHandle<()>> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::spawn(self.clone().listen(word, terminate, interrupt)))
    }

    async fn listen(self, word: &'static str, mut terminate: Signal, mut interrupt: Signal) {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
            }
        };
        next().await;
        self.stop();
        // Nobody may read what is said, and then saying it takes for ever.
        drop(tokio::task::spawn_blocking(move || info!("told to stop: {word}")));
        // Nobody else sets it.
        drop(self.again.set(next().await));
    }
}
