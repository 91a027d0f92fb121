//! Restricts the journal's files to their owner, because it holds payloads and objects as they came.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

/// Files: read and written by their owner.
const FILE: u32 = 0o600;
/// Folders: entered by their owner.
const FOLDER: u32 = 0o700;
/// Others may make and replace files in a folder.
const WRITTEN_BY_OTHERS: u32 = 0o002;

/// Creates a journal's folder for its owner alone, with those above it. One that exists is left as it is,
/// for it may be a volume that an orchestrator prepared: its files are closed to others anyway.
///
/// # Errors
/// Where it can neither be created nor used.
pub fn create_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Creates a folder for its owner alone where there is none yet.
///
/// # Errors
/// Where there is something of this name, or it cannot be created.
pub fn create_new_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(folder)
}

/// Warns of a folder in which every user may make and replace files.
pub(super) fn look_at(folder: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(folder)?.mode();
    if mode & WRITTEN_BY_OTHERS != 0 {
        warn!(
            folder = %folder.display(),
            mode = format!("{:o}", mode & 0o7777),
            "the journal's folder can be written to by every user of the machine, who could replace the journal; hint: chmod 0700 it, or name another journal.path"
        );
    }
    Ok(())
}

/// Opens a file of the journal, creating it where there is none; nobody but the owner may read it.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(FILE)
        .open(path)?;
    close_to_others(path)?;
    Ok(file)
}

/// Takes all permissions on a file from others, where an earlier version left them.
pub(super) fn close_to_others(path: &Path) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.mode() & 0o7777 == FILE => Ok(()),
        Ok(_) => match std::fs::set_permissions(path, Permissions::from_mode(FILE)) {
            // It belongs to another user, who lets this one write to it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                warn!(
                    path = %path.display(),
                    "other users may read this file of the journal; hint: chmod 0600 it, as its owner"
                );
                Ok(())
            }
            set => set,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
