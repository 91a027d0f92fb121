//! Restricts the journal's files to their owner, because the journal holds payloads and unredacted objects.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tracing::warn;

/// The mode of files: read and written by their owner.
const FILE: u32 = 0o600;
/// The mode of folders: entered by their owner.
const FOLDER: u32 = 0o700;
/// The mode bit that lets other users create and replace files in a folder.
const WRITTEN_BY_OTHERS: u32 = 0o002;

/// Creates a journal's folder, and its missing parents, for the owner alone. An existing folder is not changed,
/// because it may be a volume that an orchestrator prepared; its files are restricted anyway.
///
/// # Errors
/// Fails if the folder can neither be created nor used.
pub fn create_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(folder)
}

/// Creates a folder for its owner alone; it must not exist yet.
///
/// # Errors
/// Fails if a file or folder of this name exists, or the folder cannot be created.
pub fn create_new_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(folder)
}

/// Warns of a folder in which every user may create and replace files.
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

/// Opens a file of the journal, or creates it; only the owner may read it.
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

/// Removes all permissions of other users on a file, which an earlier version may have left.
pub(super) fn close_to_others(path: &Path) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.mode() & 0o7777 == FILE => Ok(()),
        Ok(_) => match std::fs::set_permissions(path, Permissions::from_mode(FILE)) {
            // The file belongs to another user, who lets this one write to it.
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
