//! The one durable store: verdicts, cursors of watches, and deliveries.
//!
//! The guarantees:
//!
//! - A *group* (outputs of the pipeline, and the cursors of the watches by then) is committed whole or not at
//!   all. After a crash the watches resume from the last group on disk.
//! - A delivery is attempted only after its group is on disk, and its body is never rendered again.
//! - An error of the disk is fatal: after a failed fsync the content of the disk is unknown. A full disk is
//!   not: intake waits until there is space.
//!
//! The store is an SQLite file in WAL mode with `synchronous=FULL`: each commit is one fsync of the write-ahead
//! log. One thread writes; it gathers waiting orders into one transaction. Deliveries are read by connections
//! of their own. `schema.rs` documents the tables, for use with `sqlite3`.

mod budget;
mod checkpoint;
mod deliveries;
mod handle;
pub mod inspect;
mod outbox;
mod permissions;
mod quarantine;
mod quota;
mod restore;
mod retention;
mod schema;
mod shares;
mod size;
pub mod wal;
mod write;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use tokio::sync::Notify;
use tracing::{error, info};

use klaxon_config::{self as config, Target};
use klaxon_model::Timestamp;
use klaxon_telemetry::metrics::Metrics;

pub use deliveries::{Settled, SettledAs};
pub use handle::Handle;
pub use outbox::{Outbox, Waiting};
pub use permissions::{create_folder, create_new_folder};
pub use restore::{Loaded, SavedWatch};
use wal::Wal;
pub use write::{Cursor, Group, Progress};
use writer::Seam;

/// The file's name in the journal's folder.
const FILE: &str = "klaxon.db";
/// The default folder of the journal.
pub const DEFAULT_FOLDER: &str = "/var/lib/klaxon";
/// The longest wait of a reader for a writer, or of a writer for a reader; in WAL mode such waits are rare.
const BUSY: Duration = Duration::from_secs(10);
/// The time after which the writer retries on a full disk.
const PAUSE: Duration = Duration::from_secs(1);

/// An error of the journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The folder or the file cannot be used.
    #[error("journal {path}: {why}; hint: check journal.path and its rights")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// Another process has the journal open.
    #[error(
        "journal {path}: another process uses it; hint: stop that one, or name another journal.path"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A newer version of the program wrote the journal.
    #[error(
        "the journal has schema version {version}, this program knows {known}; hint: run the newer version again"
    )]
    TooNew {
        /// The schema version of the file.
        version: i64,
        /// The schema version of this program.
        known: usize,
    },
    /// The file is damaged.
    #[error(
        "the journal is damaged: {0}; hint: restore it from a backup, or move it away to begin anew"
    )]
    Damaged(String),
    /// SQLite returned an error.
    #[error("the journal failed: {0}")]
    Sqlite(Arc<rusqlite::Error>),
    /// The last writes may not be on the disk.
    #[error(
        "the journal's disk failed ({0}): what was committed last may not be on it, so nothing more is \
         done; hint: check the disk, then start again, from what is on it"
    )]
    Disk(Arc<rusqlite::Error>),
    /// A value cannot be written as JSON.
    #[error("the journal cannot keep {what}: {why}")]
    Unwritable {
        /// The value.
        what: String,
        /// The cause.
        why: String,
    },
    /// A group is larger than the journal may be.
    #[error(
        "what was decided together ({group} bytes) does not fit into the journal: it would have {needs} \
         bytes, and journal.max_size is {most}; hint: raise journal.max_size to {} or more, or lower what \
         rules may keep and answer (limits, grants.state)",
        needs.saturating_mul(2)
    )]
    TooLarge {
        /// The bytes of the group.
        group: u64,
        /// The bytes of the file with the group.
        needs: u64,
        /// The most bytes of the file.
        most: u64,
    },
    /// The writer has ended.
    #[error("the journal's writer has ended: {0}")]
    Ended(String),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) => Self::Disk(Arc::new(error)),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// A fact about the journal's cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The uid of the namespace `kube-system`.
    ClusterUid,
    /// The address of the API server in the last run.
    Server,
}

impl Fact {
    fn key(self) -> &'static str {
        match self {
            Self::ClusterUid => "cluster",
            Self::Server => "server",
        }
    }
}

/// An open journal, before the writer starts.
pub struct Journal {
    path: PathBuf,
    connection: Connection,
    /// Locked while the process lives, so that no other process writes.
    lock: File,
    id: String,
    is_new: bool,
    /// Errors that a test injects.
    seam: Seam,
    /// The time after which the writer retries after an obstacle.
    pause: Duration,
}

impl Journal {
    /// Opens the journal in a folder, or creates it.
    ///
    /// # Errors
    /// Fails if the folder cannot be used, another process holds it, or the file is damaged or too new.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let fail = |why: std::io::Error| JournalError::Folder {
            path: folder.to_owned(),
            why: why.to_string(),
        };
        make_folder(folder).map_err(fail)?;
        permissions::look_at(folder).map_err(fail)?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        // SQLite gives the permissions of the file to its log and the log's index.
        drop(permissions::open(&path).map_err(fail)?);
        for beside in ["-wal", "-shm"] {
            permissions::close_to_others(&folder.join(format!("{FILE}{beside}"))).map_err(fail)?;
        }
        sync_log(folder, &path).map_err(fail)?;
        // Before SQLite reads the log: SQLite overwrites the frames that it ignores.
        let is_doubtful = look_at_log(&path).map_err(fail)?;
        let mut connection = Connection::open(&path)?;
        connection.busy_timeout(BUSY)?;
        sort_in_memory(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        check(&connection, is_doubtful)?;
        schema::migrate(&mut connection)?;
        let (id, is_new) = identity(&connection)?;
        Ok(Self { path, connection, lock, id, is_new, seam: Seam::default(), pause: PAUSE })
    }

    /// Returns the id of this journal, unique among journals.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns `true` if the journal was created by this call of [`Journal::open`].
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns a fact about the journal's cluster; `None` if it is not recorded.
    ///
    /// # Errors
    /// Fails if the fact cannot be read.
    pub fn fact(&self, key: Fact) -> Result<Option<String>, JournalError> {
        let select = "SELECT value FROM meta WHERE key = ?1";
        Ok(self.connection.query_row(select, [key.key()], |row| row.get(0)).optional()?)
    }

    /// Writes a fact about the cluster.
    ///
    /// # Errors
    /// Fails if the fact cannot be written.
    pub fn set_fact(&self, key: Fact, value: &str) -> Result<(), JournalError> {
        let insert = "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)";
        self.connection.execute(insert, [key.key(), value])?;
        Ok(())
    }

    /// Reads the state that the last run left.
    ///
    /// # Errors
    /// Fails if the state cannot be read.
    pub fn load(&self) -> Result<Loaded, JournalError> {
        restore::load(&self.connection)
    }

    /// Returns a function that reads last known forms on a connection of its own, concurrently with the writer.
    ///
    /// # Errors
    /// Fails if the file cannot be opened once more.
    pub fn forms(&self) -> Result<klaxon_core::pipeline::ReadForm, JournalError> {
        let connection = reader(&self.path)?;
        Ok(Box::new(move |uid| restore::form(&connection, uid)))
    }

    /// Opens the outbox of a target.
    ///
    /// # Errors
    /// Fails if the file cannot be opened once more.
    pub fn outbox(&self, target: &str) -> Result<Outbox, JournalError> {
        Outbox::open(&self.path, target)
    }

    /// Starts the writer. Verdicts are rendered for `targets`; the returned wakers signal new deliveries to
    /// each target's queue.
    ///
    /// # Errors
    /// Fails if the writer's thread cannot be started.
    pub fn start(
        self,
        targets: BTreeMap<String, Target>,
        settings: &config::Journal,
        metrics: Arc<Metrics>,
    ) -> Result<(Handle, BTreeMap<String, Arc<Notify>>), JournalError> {
        let wakers: BTreeMap<String, Arc<Notify>> =
            targets.keys().map(|name| (name.clone(), Arc::new(Notify::new()))).collect();
        let handle = writer::start(self, targets, wakers.clone(), settings, metrics)?;
        Ok((handle, wakers))
    }
}

/// Takes the lock of a journal's folder; it is held as long as the file is open.
fn lock(folder: &Path) -> Result<File, JournalError> {
    let fail = |why: std::io::Error| JournalError::Folder {
        path: folder.to_owned(),
        why: why.to_string(),
    };
    let lock = permissions::open(&folder.join("lock")).map_err(fail)?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| JournalError::Locked { path: folder.to_owned() })?;
    Ok(lock)
}

/// Logs damage that SQLite ignores silently when it reads its write-ahead log. Returns `true` if a committed
/// transaction may be missing.
fn look_at_log(path: &Path) -> std::io::Result<bool> {
    let Some(log) = wal::read(path)? else { return Ok(false) };
    let Wal { commits, tail, .. } = log;
    if log.may_lack_commits() {
        error!(
            commits,
            ignored_bytes = tail.bytes,
            damaged_frames = tail.torn,
            damaged_commits = tail.torn_commits,
            strange_frames = tail.strange,
            "the journal's log is damaged behind its last whole commit: what came after it is lost, unless the power went while it was written; the watches go on from that commit"
        );
    } else if log.is_suspicious() {
        info!(
            commits,
            ignored_bytes = tail.bytes,
            "the journal's log ends in a commit that was not completed: it is ignored"
        );
    }
    Ok(log.may_lack_commits())
}

/// Checks the file's structure, with `thorough` also its content. A crash alone causes none of the errors that
/// this check finds.
fn check(connection: &Connection, thorough: bool) -> Result<(), JournalError> {
    let pragma = if thorough { "PRAGMA integrity_check(1)" } else { "PRAGMA quick_check(1)" };
    let verdict: String = connection
        .query_row(pragma, [], |row| row.get(0))
        .map_err(|error| JournalError::Damaged(error.to_string()))?;
    if verdict == "ok" { Ok(()) } else { Err(JournalError::Damaged(verdict)) }
}

/// Creates the folder if it is missing. A folder is as durable as its entry in the parent: without a sync of
/// the parent, a power loss could remove a journal of which deliveries were already sent.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> =
        folder.ancestors().take_while(|one| !one.as_os_str().is_empty() && !one.exists()).collect();
    permissions::create_folder(folder)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Syncs the log that the last run left. If that run was killed between writing a commit and syncing it, the
/// commit is in the page cache only, but counts from now on: its deliveries will be sent.
fn sync_log(folder: &Path, path: &Path) -> std::io::Result<()> {
    match File::open(wal::beside(path)) {
        Ok(log) => {
            log.sync_all()?;
            File::open(folder)?.sync_all()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the journal's own id, and `true` if it is new; a new id is random.
fn identity(connection: &Connection) -> Result<(String, bool), JournalError> {
    let select = "SELECT value FROM meta WHERE key = 'journal'";
    if let Some(id) = connection.query_row(select, [], |row| row.get(0)).optional()? {
        return Ok((id, false));
    }
    let id = format!("{:032x}", rand::random::<u128>());
    connection.execute("INSERT INTO meta (key, value) VALUES ('journal', ?1)", [&id])?;
    Ok((id, true))
}

/// Makes SQLite sort in memory: a container with a read-only file system may have no folder for temporary
/// files.
fn sort_in_memory(connection: &Connection) -> Result<(), JournalError> {
    Ok(connection.pragma_update(None, "temp_store", "MEMORY")?)
}

fn reader(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    sort_in_memory(&connection)?;
    Ok(connection)
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[cfg(test)]
mod tests;
