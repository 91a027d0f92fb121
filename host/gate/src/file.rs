//! The file of a gate.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The permissions of a new file: probes of other containers may run as other users.
const MODE: u32 = 0o644;

/// The file of a gate. The gate is open while the file exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateFile(PathBuf);

/// An error of using the file of a gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The folder of the file cannot be used.
    #[error("gate {}: the folder {}: {source}; hint: {hint}", path.display(), folder.display())]
    Folder {
        /// The path of the file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
        /// The remedy.
        hint: &'static str,
    },
    /// The path exists and is no file.
    #[error("gate {}: this is a folder; hint: name a file in it, such as up.txt", .0.display())]
    IsFolder(PathBuf),
    /// The file cannot be created, removed or looked up.
    #[error("gate {}: the file cannot be {action}: {source}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The action that failed: `created`, `removed` or `looked up`.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl GateFile {
    /// Returns the gate with a file, without checking it.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Returns the gate with a file, after checking that the process can create and remove it.
    ///
    /// # Errors
    /// If the path is a folder, or its folder does not exist or cannot be written.
    pub fn check(path: &Path) -> Result<Self, GateError> {
        let gate = Self::new(path);
        if path.is_dir() {
            return Err(GateError::IsFolder(path.to_owned()));
        }
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(GateError::IsFolder(path.to_owned())),
        };
        let fail = |source: io::Error, hint| {
            let (path, folder) = (path.to_owned(), folder.to_owned());
            Err(GateError::Folder { path, folder, source, hint })
        };
        match fs::metadata(folder) {
            Err(error) => fail(error, "mount a volume there, or choose another file with UP_FILE"),
            Ok(found) if !found.is_dir() => {
                fail(io::ErrorKind::NotADirectory.into(), "choose another file with UP_FILE")
            }
            Ok(_) => match access(folder, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => Ok(gate),
                Err(error) => fail(
                    error.into(),
                    "let the user of this process write there (fsGroup of the pod)",
                ),
            },
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns `true` if the gate is open.
    ///
    /// # Errors
    /// If it cannot be found out, such as without permission to search the folder.
    pub fn is_open(&self) -> Result<bool, GateError> {
        fs::exists(&self.0).map_err(|source| self.failed("looked up", source))
    }

    /// Opens the gate. Returns `false` if it was open.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn open(&self) -> Result<bool, GateError> {
        // A symbolic link is never followed: another container could let it point anywhere.
        match OpenOptions::new().write(true).create_new(true).mode(MODE).open(&self.0) {
            Ok(file) => {
                // The process's umask may have taken permissions away.
                let set = file.set_permissions(Permissions::from_mode(MODE));
                set.map(|()| true).map_err(|source| self.failed("created", source))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.is_open()? => {
                Ok(false)
            }
            Err(error) => Err(self.failed("created", error)),
        }
    }

    /// Closes the gate. Returns `false` if it was closed.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn close(&self) -> Result<bool, GateError> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("removed", error)),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> GateError {
        GateError::File { path: self.0.clone(), action, source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn gate() -> (tempfile::TempDir, GateFile) {
        let folder = tempfile::tempdir().unwrap();
        let gate = GateFile::check(&folder.path().join("up.txt")).unwrap();
        (folder, gate)
    }

    #[test]
    fn a_gate_is_open_while_its_file_exists() {
        let (_folder, gate) = gate();
        assert!(!gate.is_open().unwrap());
        assert!(!gate.close().unwrap(), "it was closed");
        assert!(gate.open().unwrap());
        assert!(!gate.open().unwrap(), "it was open");
        assert!(gate.is_open().unwrap());
        assert!(gate.close().unwrap());
        fs::write(gate.path(), "by a hook").unwrap();
        assert!(gate.is_open().unwrap());
        assert!(!gate.open().unwrap());
        assert_eq!(fs::read_to_string(gate.path()).unwrap(), "by a hook", "it is not touched");
        fs::remove_file(gate.path()).unwrap();
        assert!(!gate.is_open().unwrap());
    }

    #[test]
    fn probes_of_other_users_can_read_the_file() {
        let (_folder, gate) = gate();
        gate.open().unwrap();
        let mode = fs::metadata(gate.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn a_symbolic_link_is_not_followed_to_create_a_file() {
        let (folder, gate) = gate();
        let elsewhere = folder.path().join("elsewhere");
        symlink(&elsewhere, gate.path()).unwrap();
        let error = gate.open().unwrap_err().to_string();
        assert!(error.contains("up.txt: the file cannot be created: File exists"), "{error}");
        assert!(!elsewhere.exists());
        assert!(!gate.is_open().unwrap());
        assert!(gate.close().unwrap(), "the link is removed");
        assert!(gate.open().unwrap());
    }

    #[test]
    fn folders_that_cannot_be_used_are_errors_with_a_hint() {
        let (folder, _gate) = gate();
        let error = |path: &Path| GateFile::check(path).unwrap_err().to_string();
        let missing = error(&folder.path().join("no/up.txt"));
        assert!(missing.contains("/no: No such file or directory"), "{missing}");
        assert!(missing.contains("; hint: mount a volume there"), "{missing}");
        let is_folder = error(folder.path());
        assert!(is_folder.contains("this is a folder; hint: name a file in it"), "{is_folder}");
        fs::write(folder.path().join("file"), "").unwrap();
        let in_file = error(&folder.path().join("file/up.txt"));
        assert!(in_file.contains("/file: not a directory; hint: "), "{in_file}");
        assert!(error(Path::new("/")).contains("this is a folder"));
    }
}
