//! Shared parts of tests: verdicts, objects, manifests and journals.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test may panic")]

pub mod journal_file;
pub mod manifests;
pub mod values;
