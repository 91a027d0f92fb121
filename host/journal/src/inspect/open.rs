//! Connections besides the service's own: one that cannot write, and one for short changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::InspectError;
use crate::{FILE, schema, wal};

/// The longest wait for the service's lock, in steps of [`STEP`].
const STEPS: i32 = 5000;
const STEP: Duration = Duration::from_millis(2);

/// Reads a journal.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
    /// The last change of the file, if no process had the journal open when it was opened here.
    closed: Option<Option<SystemTime>>,
}

impl Reader {
    /// Opens the journal in a folder. Changes nothing, and creates no files for a closed journal.
    ///
    /// # Errors
    /// Fails if there is no journal, or it has another schema version.
    pub fn open(folder: &Path) -> Result<Self, InspectError> {
        let path = existing(folder)?;
        // Without a log no process has the journal open. It can then be read without locks, even on a read-only
        // disk; in other modes SQLite would create a log and its index.
        let closed = (!wal::beside(&path).exists()).then(|| changed(&path));
        let mode = if closed.is_some() { "mode=ro&immutable=1" } else { "mode=ro" };
        let connection = connect(&path, mode, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        known(&connection)?;
        Ok(Self { path, connection, closed })
    }

    /// Returns `true` if a journal that was closed when it was opened here stayed closed. Otherwise a service
    /// was started meanwhile, and its writes may have been read in part.
    pub(super) fn is_undisturbed(&self) -> bool {
        let is_same = |then| !wal::beside(&self.path).exists() && changed(&self.path) == then;
        self.closed.is_none_or(is_same)
    }

    /// Returns `read`, or an error if a service may have disturbed the reading.
    pub(super) fn sound<T>(&self, read: T) -> Result<T, InspectError> {
        if self.is_undisturbed() { Ok(read) } else { Err(InspectError::Disturbed) }
    }

    /// Returns the path of the journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a transaction, in which all reads see one moment.
    pub(super) fn moment(&self) -> Result<Transaction<'_>, InspectError> {
        Ok(self.connection.unchecked_transaction()?)
    }
}

/// Changes a journal, concurrently with the service if that runs.
pub struct Editor {
    connection: Connection,
}

impl Editor {
    /// Opens the journal in a folder.
    ///
    /// # Errors
    /// Fails if there is no journal, it has another schema version, or it cannot be written to.
    pub fn open(folder: &Path) -> Result<Self, InspectError> {
        let path = existing(folder)?;
        let connection = connect(&path, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // The same as in the service: confirmed changes survive a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        known(&connection)?;
        Ok(Self { connection })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a change with the write lock: if the lock is taken later, SQLite may refuse it without waiting.
    pub(super) fn change(&mut self) -> Result<Transaction<'_>, InspectError> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

fn existing(folder: &Path) -> Result<PathBuf, InspectError> {
    let path = folder.join(FILE);
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(InspectError::Missing { path })
        }
        Err(error) => Err(InspectError::file(&path, format!("{error}; hint: check its rights"))),
    }
}

pub(super) fn connect(
    path: &Path,
    mode: &str,
    flags: OpenFlags,
) -> Result<Connection, InspectError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(uri(path, mode), flags)?;
    connection.busy_handler(Some(wait))?;
    Ok(connection)
}

/// Returns the URI of a path, with the three characters escaped that have a meaning in a URI.
fn uri(path: &Path, mode: &str) -> String {
    let path = path.to_string_lossy();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?{mode}")
}

/// Waits in short steps of equal length. SQLite's own steps grow, and would rarely meet an idle moment of a
/// service that commits all the time.
fn wait(tries: i32) -> bool {
    std::thread::sleep(STEP);
    tries < STEPS
}

fn known(connection: &Connection) -> Result<(), InspectError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = schema::VERSION;
    match usize::try_from(version).unwrap_or(usize::MAX).cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(InspectError::Older { version, known }),
        std::cmp::Ordering::Greater => Err(InspectError::Newer { version, known }),
    }
}
