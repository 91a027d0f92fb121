//! Being told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Tells the service to stop, and everyone in it that it was told.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    flag: Arc<AtomicBool>,
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

    /// From here on SIGTERM and SIGINT mean draining, not the end.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub(super) fn on_signals(&self) -> std::io::Result<tokio::task::JoinHandle<()>> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::spawn(self.clone().listen(terminate, interrupt)))
    }

    async fn listen(self, mut terminate: Signal, mut interrupt: Signal) {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("told to stop: draining");
        self.stop();
    }
}
