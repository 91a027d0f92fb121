//! Recorded streams: JSON Lines with one watch event each, or what kubectl prints.
//!
//! A line is `{"at": …, "type": …, "object": {…}}`; `at` may be missing, and then times inside the
//! object stand in for it. A plain object is an ADDED, a plain list is a SNAPSHOT of its items, and
//! so is what comes before a bookmark that ends the initial events. Documents may also follow each
//! other over several lines, as `kubectl get -w -o json --output-watch-events` prints them.

mod clock;
mod documents;
mod merge;
mod record;
pub mod redact;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use merge::Merged;
pub use record::{Record, Skipped};
pub use write::line;

use crate::model::Timestamp;

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A file cannot be read.
    #[error("stream {path}: {source}; hint: check the path and its rights")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no watch event.
    #[error("stream {path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong, and how to correct it.
        why: String,
    },
    /// A pattern matches no file.
    #[error("no stream matches {pattern}; hint: check the path, or quote the pattern")]
    NoMatch {
        /// As it was written.
        pattern: String,
    },
}

/// A stream to read.
#[derive(Debug, Clone)]
pub struct StreamFile {
    /// Where it is; `.gz` and `.zst` are read too.
    pub path: PathBuf,
    /// What comes before this time is state, not news.
    pub snapshot_until: Option<Timestamp>,
    /// The stream itself, where it is no file: `path` then names it in errors.
    pub text: Option<Arc<[u8]>>,
}

impl StreamFile {
    /// A file, all of whose records are news but for those that say otherwise.
    pub fn at(path: PathBuf) -> Self {
        Self { path, snapshot_until: None, text: None }
    }
}

/// Files for paths that may end in `*.jsonl`-like patterns: a `*` in the last part stands for any
/// text. The files of a pattern are sorted by name.
///
/// # Errors
/// Where a pattern matches nothing or its folder cannot be read.
pub fn expand(patterns: &[PathBuf], base: &Path) -> Result<Vec<PathBuf>, StreamError> {
    let mut files = Vec::new();
    for pattern in patterns {
        let path = base.join(pattern);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| name.contains('*')) else {
            files.push(path);
            continue;
        };
        // A name alone has an empty parent.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(folder)
            .map_err(|source| StreamError::File { path: folder.to_owned(), source })?;
        let mut matching: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .filter(|path| {
                path.file_name().is_some_and(|file| matches(&name, &file.to_string_lossy()))
            })
            .collect();
        if matching.is_empty() {
            return Err(StreamError::NoMatch { pattern: pattern.display().to_string() });
        }
        matching.sort();
        files.extend(matching);
    }
    Ok(files)
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            let ends = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
            ends.filter_map(|at| tail.get(at..)).any(|tail| matches(rest, tail))
        }),
    }
}

#[cfg(test)]
mod tests;
