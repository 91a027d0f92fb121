//! Why the journal cannot be looked into, or changed.

use std::path::{Path, PathBuf};

/// Why the journal cannot be looked into, or changed.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is none.
    #[error("there is no journal at {path}")]
    Missing {
        /// Where its file would be.
        path: PathBuf,
    },
    /// An older program wrote it.
    #[error(
        "the journal has schema version {version}, this program works with {known}; hint: start the \
         service of this version once, it brings the journal up to date"
    )]
    Older {
        /// Of the file.
        version: i64,
        /// Of this program.
        known: usize,
    },
    /// A newer program wrote it.
    #[error(
        "the journal has schema version {version}, this program works with {known}; hint: use the \
         newer klaxon that wrote it"
    )]
    Newer {
        /// Of the file.
        version: i64,
        /// Of this program.
        known: usize,
    },
    /// A text that cannot begin an id.
    #[error(
        "{text:?} is no id; hint: write at least 6 of its hexadecimal digits, as `klaxon journal ls` \
         shows them"
    )]
    NoId {
        /// As it was written.
        text: String,
    },
    /// Nothing has this id.
    #[error(
        "no verdict and no delivery has an id that begins with {id}; hint: see `klaxon journal ls`; \
         what is settled is kept for journal.retain only"
    )]
    UnknownId {
        /// As it was written.
        id: String,
    },
    /// No row has this number.
    #[error("there is no {what} {number}; hint: see `klaxon journal ls`")]
    UnknownNumber {
        /// A gap, a quarantined event, a refusal.
        what: &'static str,
        /// As it was written.
        number: i64,
    },
    /// Several ids begin so.
    #[error("{} begins several ids; hint: write one of them out:\n  {}", prefix, candidates.join("\n  "))]
    Ambiguous {
        /// As it was written.
        prefix: String,
        /// What they are, one a line.
        candidates: Vec<String>,
    },
    /// A delivery is not in the state that a change is for.
    #[error("delivery {id} is {state}, not {wanted}: it is left as it is")]
    WrongState {
        /// The delivery.
        id: String,
        /// How it is.
        state: &'static str,
        /// How it would have to be.
        wanted: &'static str,
    },
    /// What is listed has no such property.
    #[error("{what} cannot be chosen by --{filter}; hint: use {known}")]
    NoFilter {
        /// What is listed.
        what: &'static str,
        /// The filter.
        filter: &'static str,
        /// Those that it has.
        known: String,
    },
    /// The target is not disabled.
    #[error("target {name} is not disabled{}", others(.disabled))]
    NotDisabled {
        /// The target.
        name: String,
        /// Those that are.
        disabled: Vec<String>,
    },
    /// A file cannot be used.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why, and how to correct it.
        why: String,
    },
    /// It was read by halves.
    #[error("the journal was opened by a service while it was read; hint: try again")]
    Disturbed,
    /// Someone else writes for too long.
    #[error(
        "another process has held the journal for over ten seconds; hint: try again, and look at what \
         has klaxon.db open"
    )]
    Busy,
    /// SQLite says no.
    #[error("the journal cannot be used: {0}; hint: {hint}", hint = hint(.0))]
    Sqlite(rusqlite::Error),
}

fn hint(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        // After a crash even who reads must be able to make an index beside the log.
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
