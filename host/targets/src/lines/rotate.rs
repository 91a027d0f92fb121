//! Older files of a path: `path.1` is the newest.

use std::fs;
use std::path::{Path, PathBuf};

/// Renames a file to `path.1`, after renaming each earlier one to the next number; the oldest is replaced. A
/// crash in between leaves a number free. The next rotation fills it first, so no file is lost.
pub(super) fn rotate(path: &Path, keep: u16) -> Result<(), String> {
    let is_free = |number: &u16| fs::symlink_metadata(numbered(path, *number)).is_err();
    let free = (1..keep).find(is_free).unwrap_or(keep);
    for number in (1..free).rev() {
        rename(&numbered(path, number), &numbered(path, number + 1))?;
    }
    rename(path, &numbered(path, 1))
}

fn numbered(path: &Path, number: u16) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| {
        format!("{} cannot be renamed to {}: {error}", from.display(), to.display())
    })
}
