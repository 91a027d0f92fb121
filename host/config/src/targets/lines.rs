//! The settings of the target `file`: verdicts as JSON Lines in a file, with rotation.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::RetryFile;
use crate::validate::Check;
use klaxon_yaml::{Size, Span};

const MAX_SIZE: u64 = 100 << 20;
const KEEP: u16 = 5;
const RETRY_FOR: Duration = Duration::from_secs(72 * 3600);

/// The settings of a `file` target as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinesFile {
    /// The file, relative to this file's folder; its folder must exist.
    path: PathBuf,
    /// how large it may grow, such as 100MiB (the default), before it is renamed to path.1.
    max_size: Option<Size>,
    /// The number of renamed files that are kept (5): path.1 is the newest, the oldest is removed.
    keep: Option<u16>,
    /// Retries.
    #[serde(default)]
    retry: RetryFile,
}

/// A file to which verdicts are appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The file.
    pub path: PathBuf,
    /// The maximum size of the file, in bytes; a longer line gets a file of its own.
    pub max_size: u64,
    /// The number of older files that are retained.
    pub keep: u16,
    /// The time for which a delivery is retried.
    pub retry_for: Duration,
}

/// Validates a file target. The existence of the folder is not checked here: it may be mounted later.
pub(super) fn check(check: &mut Check<'_>, pointer: &str, file: LinesFile) -> Lines {
    if file.path.file_name().is_none() {
        check.say(
            format!("{pointer}/path"),
            format!("{} is no name of a file; hint: write one", file.path.display()),
        );
    }
    let max_size = file.max_size.map_or(MAX_SIZE, |size| size.0 as u64);
    if max_size == 0 {
        check.say(
            format!("{pointer}/max_size"),
            "nothing fits into 0 bytes; hint: write a size such as 100MiB",
        );
    }
    let keep = file.keep.unwrap_or(KEEP);
    if keep == 0 {
        check.say(
            format!("{pointer}/keep"),
            "with 0 a full file would be thrown away; hint: write 1 or more",
        );
    }
    let retry_for = file.retry.r#for.map_or(RETRY_FOR, |Span(span)| span);
    Lines { path: check.base.join(file.path), max_size, keep, retry_for }
}
