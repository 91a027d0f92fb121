//! Verdicts as JSON Lines on standard output.

use tokio::io::AsyncWriteExt;

use super::{Attempt, Delivery};

/// Standard output.
pub(super) struct Stdout;

impl Stdout {
    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        let mut out = tokio::io::stdout();
        let written = async {
            out.write_all(&delivery.body).await?;
            out.flush().await
        };
        match written.await {
            Ok(()) => Attempt::Delivered,
            Err(error) => Attempt::Refused { why: format!("stdout: {error}") },
        }
    }
}
