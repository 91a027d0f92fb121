//! Recorded streams: JSON Lines with one watch event each, or the output of kubectl.
//!
//! A line is `{"at": …, "type": …, "object": {…}}`. If `at` is missing, times inside the object replace it. A
//! plain object is an ADDED, and a plain list is a SNAPSHOT of its items; objects before a bookmark that ends
//! the initial events are a SNAPSHOT too. A document may also span several lines, as in the output of
//! `kubectl get -w -o json --output-watch-events`.
//!
//! Two more members are Klaxon's own. `change` of a line says if the object is a change (`true`) or part of a list
//! (`false`); without it a MODIFIED and a DELETED are changes. It matters after a gap, where the first change ends the
//! list. `metadata.namespace` of a bookmark says that the stream is about this namespace only.

mod clock;
mod documents;
mod merge;
mod record;
pub mod redact;
mod replay_source;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use merge::{Merged, StreamEvent};
pub use record::{Record, Skipped};
pub use replay_source::ReplaySource;
pub use write::line;

use klaxon_model::Timestamp;

/// Error of reading a stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A file cannot be read.
    #[error("stream {path}: {source}; hint: check the path and its rights")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line is not a watch event.
    #[error("stream {path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, counted from 1.
        line: u64,
        /// The problem, with a hint.
        why: String,
    },
    /// A file is something else than a stream.
    #[error(
        "stream {path}: this is no JSON ({beginning}); hint: a stream is what `kubectl get … -w -o json \
         --output-watch-events` prints, or what `klaxon record` writes"
    )]
    NoJson {
        /// The file.
        path: PathBuf,
        /// Its beginning.
        beginning: String,
    },
    /// A pattern matches no file.
    #[error("no stream matches {pattern}; hint: check the path, or quote the pattern")]
    NoMatch {
        /// The pattern as given.
        pattern: String,
    },
}

/// A stream to read.
#[derive(Debug, Clone)]
pub struct StreamFile {
    /// Path of the file, which may be compressed (`.gz`, `.zst`).
    pub path: PathBuf,
    /// Time before which objects are a snapshot, not changes.
    pub snapshot_until: Option<Timestamp>,
    /// The stream itself, if it is not in a file: `path` then names it in errors.
    pub text: Option<Arc<[u8]>>,
}

impl StreamFile {
    /// A file whose records are changes, except those that are marked otherwise.
    pub fn at(path: PathBuf) -> Self {
        Self { path, snapshot_until: None, text: None }
    }
}

/// Expands paths to files. A `*` in the last part of a path, as in `*.jsonl`, stands for any text; the files
/// of a pattern are sorted by name.
///
/// # Errors
/// If a pattern matches no file or its folder cannot be read.
pub fn expand(patterns: &[PathBuf], base: &Path) -> Result<Vec<PathBuf>, StreamError> {
    let mut files = Vec::new();
    for pattern in patterns {
        let path = base.join(pattern);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| name.contains('*')) else {
            files.push(path);
            continue;
        };
        // A bare name has an empty parent.
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

/// Returns `true` if a name matches a pattern in which `*` stands for any text.
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
