//! A writer that appends lines to a file that others may rename, and begins a new file when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::rotate::rotate;

/// The mode of the file: only its owner may read it, because verdicts may contain confidential names.
const PRIVATE: u32 = 0o600;

pub(super) struct Writer {
    path: PathBuf,
    max_size: u64,
    keep: u16,
    /// `None` before the first line and after an error; the next line opens and checks the file again.
    file: Option<File>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, max_size: u64, keep: u16) -> Self {
        Self { path, max_size, keep, file: None }
    }

    /// Writes a line, and waits until it is on disk.
    pub(super) fn append(&mut self, line: &[u8]) -> Result<(), String> {
        let mut file = self.current()?;
        let told = |error: io::Error| format!("{}: {error}", self.path.display());
        let size = file.metadata().map_err(told)?.len();
        if size > 0 && size.saturating_add(line.len() as u64) > self.max_size {
            rotate(&self.path, self.keep)?;
            file = self.open()?;
        }
        file.write_all(line).map_err(told)?;
        file.sync_data().map_err(told)?;
        self.file = Some(file);
        Ok(())
    }

    /// Returns the open file if it is still the one at the path, else opens the path: logrotate and people
    /// rename files.
    fn current(&mut self) -> Result<File, String> {
        if let Some(file) = self.file.take()
            && let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(&self.path))
            && (ours.dev(), ours.ino()) == (there.dev(), there.ino())
        {
            return Ok(file);
        }
        self.open()
    }

    fn open(&self) -> Result<File, String> {
        let path = self.path.display();
        // Opening a pipe would block until it has a reader.
        if fs::metadata(&self.path).is_ok_and(|there| !there.is_file()) {
            return Err(format!("{path} is there, but is no plain file; hint: name another path"));
        }
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(PRIVATE);
        let mut file = options.open(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!(
                "{path} cannot be made, for the folder {} does not exist; hint: make it, or mount it",
                folder.display()
            ),
            _ => format!("{path} cannot be opened: {error}"),
        })?;
        end_torn_line(&mut file).map_err(|error| format!("{path}: {error}"))?;
        sync_folder(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(file)
    }
}

/// Ends a line that a crash, or a full disk, cut off.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Makes the file's name durable: without this a power cut could lose the name, and the lines with it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder, and a folder without read permission cannot be opened.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}
