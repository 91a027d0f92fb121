//! The folder of the journal.

use std::path::{Path, PathBuf};

use tracing::warn;

use super::RunError;
use klaxon_config::{Config, Source, SourceKind};
use klaxon_journal::{self as journal, DEFAULT_FOLDER};

/// The journal's folder. Dropping it removes a temporary one.
pub(super) struct JournalFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl JournalFolder {
    /// Returns the configured folder, else the default folder if it is writable, else a temporary one with a warning.
    /// A replay has nothing to resume: it gets a temporary folder without a warning.
    pub(super) fn of(config: &Config, source: &Source) -> Result<Self, RunError> {
        if let Some(path) = &config.journal.path {
            return Ok(Self { path: path.clone(), is_temporary: false });
        }
        let is_replay = matches!(source.kind, SourceKind::Replay(_));
        if !is_replay && is_writable(Path::new(DEFAULT_FOLDER)) {
            return Ok(Self { path: DEFAULT_FOLDER.into(), is_temporary: false });
        }
        let name = format!("klaxon-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        journal::create_new_folder(&path)
            .map_err(|error| RunError::System(format!("{}: {error}", path.display())))?;
        if !is_replay {
            warn!(
                path = %path.display(),
                "the journal is in a temporary folder: a restart will not know what was seen, and what is not delivered is lost; hint: set journal.path, or make {DEFAULT_FOLDER} writable"
            );
        }
        Ok(Self { path, is_temporary: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `true` if the journal is available to the next run.
    pub(super) fn keeps(&self) -> bool {
        !self.is_temporary
    }
}

impl Drop for JournalFolder {
    fn drop(&mut self) {
        if self.is_temporary {
            // Files that cannot be removed stay in the system's folder for temporary files.
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

fn is_writable(folder: &Path) -> bool {
    if journal::create_folder(folder).is_err() {
        return false;
    }
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}
