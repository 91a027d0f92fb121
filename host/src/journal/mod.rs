//! What was decided and is to be delivered. This is the seam where the durable journal goes: a step
//! is committed whole, and only then are its deliveries attempted.

mod memory;

use crate::pipeline::Step;

pub use memory::MemoryJournal;

/// Why a step cannot be committed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A verdict cannot be rendered for a target.
    #[error("verdict {verdict} cannot be rendered for target {target}: {why}")]
    Render {
        /// The verdict's id.
        verdict: String,
        /// The target's name.
        target: String,
        /// Why.
        why: String,
    },
    /// Nobody delivers any longer.
    #[error("delivery to {target} has ended")]
    Closed {
        /// The target's name.
        target: String,
    },
}

/// Keeps steps and hands their deliveries on.
pub trait Journal: Send {
    /// Commits a step. It waits while a target's queue is full.
    ///
    /// # Errors
    /// Where the step cannot be kept whole.
    fn commit(&mut self, step: Step) -> Result<(), JournalError>;
}
