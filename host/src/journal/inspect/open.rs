//! Connections beside the service's own: one that cannot write, and one for short changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::InspectError;
use crate::journal::{FILE, schema, wal};

/// How long the service is waited for, in steps of [`STEP`].
const STEPS: i32 = 5000;
const STEP: Duration = Duration::from_millis(2);

/// Reads a journal.
pub struct Reader {
    path: PathBuf,
    connection: Connection,
    /// Of a journal that nobody had open: the last change of its file.
    closed: Option<Option<SystemTime>>,
}

impl Reader {
    /// Opens the journal in a folder; nothing in it is changed, and no file of a closed journal made.
    ///
    /// # Errors
    /// Fails if there is none, or it is of another version.
    pub fn open(folder: &Path) -> Result<Self, InspectError> {
        let path = existing(folder)?;
        // Without a log nobody has it open: it can be read as it lies there, even on a disk that
        // cannot be written to. SQLite would make a log and an index for it otherwise.
        let closed = (!wal::beside(&path).exists()).then(|| changed(&path));
        let mode = if closed.is_some() { "mode=ro&immutable=1" } else { "mode=ro" };
        let connection = connect(&path, mode, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        known(&connection)?;
        Ok(Self { path, connection, closed })
    }

    /// Whether a journal that nobody had open stayed so: what a service that was started meanwhile
    /// wrote may have been read by halves.
    pub(super) fn is_undisturbed(&self) -> bool {
        let is_same = |then| !wal::beside(&self.path).exists() && changed(&self.path) == then;
        self.closed.is_none_or(is_same)
    }

    /// Passes on what was read, unless that may be so.
    pub(super) fn sound<T>(&self, read: T) -> Result<T, InspectError> {
        if self.is_undisturbed() { Ok(read) } else { Err(InspectError::Disturbed) }
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// All that is read by it is of one moment.
    pub(super) fn moment(&self) -> Result<Transaction<'_>, InspectError> {
        Ok(self.connection.unchecked_transaction()?)
    }
}

/// Changes a journal, beside the service if that runs.
pub struct Editor {
    connection: Connection,
}

impl Editor {
    /// Opens the journal in a folder.
    ///
    /// # Errors
    /// Fails if there is none, it is of another version, or it cannot be written to.
    pub fn open(folder: &Path) -> Result<Self, InspectError> {
        let path = existing(folder)?;
        let connection = connect(&path, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // As the service does: what was confirmed survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        known(&connection)?;
        Ok(Self { connection })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The lock for writing is taken at the beginning: taken later it may be refused without waiting.
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

/// In a URI three characters mean something else.
fn uri(path: &Path, mode: &str) -> String {
    let path = path.to_string_lossy();
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?{mode}")
}

/// Short even steps: SQLite's own grow, and then a service that commits all the time is rarely found
/// idle.
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
