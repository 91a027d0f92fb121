//! Errors of inspecting or changing the journal.

use std::path::{Path, PathBuf};

/// An error of inspecting or changing the journal.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no journal.
    #[error("there is no journal at {path}")]
    Missing {
        /// The path of its file.
        path: PathBuf,
    },
    /// An older version of the program wrote the journal.
    #[error(
        "the journal has schema version {version}, this program works with {known}; hint: start the \
         service of this version once, it brings the journal up to date"
    )]
    Older {
        /// The schema version of the file.
        version: i64,
        /// The schema version of this program.
        known: usize,
    },
    /// A newer version of the program wrote the journal.
    #[error(
        "the journal has schema version {version}, this program works with {known}; hint: use the \
         newer klaxon that wrote it"
    )]
    Newer {
        /// The schema version of the file.
        version: i64,
        /// The schema version of this program.
        known: usize,
    },
    /// The text cannot be the beginning of an id.
    #[error(
        "{text:?} is no id; hint: write at least 6 of its hexadecimal digits, as `klaxon journal ls` \
         shows them"
    )]
    NoId {
        /// The text as given.
        text: String,
    },
    /// No verdict or delivery has this id.
    #[error(
        "no verdict and no delivery has an id that begins with {id}; hint: see `klaxon journal ls`; \
         what is settled is kept for journal.retain only"
    )]
    UnknownId {
        /// The id as given.
        id: String,
    },
    /// No row has this number.
    #[error("there is no {what} {number}; hint: see `klaxon journal ls`")]
    UnknownNumber {
        /// The kind of row: a gap, a quarantined event or a refusal.
        what: &'static str,
        /// The number as given.
        number: i64,
    },
    /// Several ids have this beginning.
    #[error("{} begins several ids; hint: write one of them out:\n  {}", prefix, candidates.join("\n  "))]
    Ambiguous {
        /// The beginning as given.
        prefix: String,
        /// The ids with their descriptions, one per line.
        candidates: Vec<String>,
    },
    /// A delivery is not in the state that a change requires.
    #[error("delivery {id} is {state}, not {wanted}: it is left as it is")]
    WrongState {
        /// The delivery's id.
        id: String,
        /// Its state.
        state: &'static str,
        /// The required state.
        wanted: &'static str,
    },
    /// The listed rows have no property for this filter.
    #[error("{what} cannot be chosen by --{filter}; hint: use {known}")]
    NoFilter {
        /// The kind of row.
        what: &'static str,
        /// The filter.
        filter: &'static str,
        /// The filters that the rows have.
        known: String,
    },
    /// The service runs, and the change needs it to be stopped.
    #[error("{path}: the service runs, and goes by its own clock; hint: stop it first")]
    Running {
        /// The path of the journal's file.
        path: PathBuf,
    },
    /// The target is not disabled.
    #[error("target {name} is not disabled{}", others(.disabled))]
    NotDisabled {
        /// The target.
        name: String,
        /// The targets that are disabled.
        disabled: Vec<String>,
    },
    /// A file cannot be used.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause and a hint.
        why: String,
    },
    /// A service opened the journal while it was read, so the result may be inconsistent.
    #[error("the journal was opened by a service while it was read; hint: try again")]
    Disturbed,
    /// Another process held the write lock for too long.
    #[error(
        "another process has held the journal for over ten seconds; hint: try again, and look at what \
         has klaxon.db open"
    )]
    Busy,
    /// SQLite returned an error.
    #[error("the journal cannot be used: {0}; hint: {hint}", hint = hint(.0))]
    Sqlite(rusqlite::Error),
}

fn hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        // After a crash even a reader must be able to create the log's index.
        Some(Code::CannotOpen | Code::ReadOnly | Code::PermissionDenied) => {
            "run this as the user of the service, where the folder can be written to"
        }
        Some(Code::DiskFull) => "make room on the disk",
        Some(Code::SystemIoFailure) => "see what the system's log says of the disk",
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
            "go back to a backup, or move the journal away to begin anew"
        }
        _ => "see what `klaxon journal check` says",
    }
}

fn others(disabled: &[String]) -> String {
    if disabled.is_empty() {
        "; no target is".to_owned()
    } else {
        format!("; hint: name one that is: {}", disabled.join(", "))
    }
}

impl InspectError {
    pub(super) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}

impl From<rusqlite::Error> for InspectError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}
