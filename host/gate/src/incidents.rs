//! The incidents that hold a gate closed, in a file beside that of the gate.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{GateError, GateFile};

/// The most incidents that are remembered.
const MOST: usize = 10_000;
/// The most bytes of the file that are read. An incident has 1 KiB at most, and names with characters that JSON escapes.
const MOST_BYTES: u64 = 64 << 20;

/// An incident: rule, code and key of its verdicts.
pub type Incident = (String, String, String);

/// A gate that incidents hold closed: it closes when the first one fires and opens when the last one is resolved. The
/// open incidents are stored in `<file>.incidents`, as JSON, so that a restart continues with them.
#[derive(Debug)]
pub struct GateIncidents {
    gate: GateFile,
    stored: PathBuf,
}

/// An error of changing the incidents of a gate.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// The file of the gate cannot be used.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The file of the incidents cannot be used.
    #[error(
        "{path}: {source}; hint: if the file is damaged, remove it: the gate then knows of no incident"
    )]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Too many incidents are open.
    #[error("{MOST} incidents hold the gate closed already; hint: let the rule use fewer keys")]
    TooMany,
}

impl GateIncidents {
    /// Returns the incidents of a gate.
    pub fn of(gate: GateFile) -> Self {
        let mut stored = gate.path().as_os_str().to_owned();
        stored.push(".incidents");
        Self { gate, stored: stored.into() }
    }

    /// Records a firing incident and closes the gate.
    ///
    /// # Errors
    /// If a file cannot be changed, or too many incidents are open.
    pub fn fire(&self, incident: Incident) -> Result<(), IncidentError> {
        let mut open = self.load()?;
        if !open.contains(&incident) {
            if open.len() >= MOST {
                return Err(IncidentError::TooMany);
            }
            open.insert(incident);
            self.store(&open)?;
        }
        self.gate.close()?;
        Ok(())
    }

    /// Removes a resolved incident, and opens the gate if it was the last one. An incident that is not known changes
    /// nothing.
    ///
    /// # Errors
    /// If a file cannot be changed.
    pub fn resolve(&self, incident: &Incident) -> Result<(), IncidentError> {
        let mut open = self.load()?;
        if !open.contains(incident) {
            return Ok(());
        }
        open.remove(incident);
        if open.is_empty() {
            // The gate opens before the incident is forgotten: a crash in between repeats the delivery.
            self.gate.open()?;
        }
        self.store(&open)
    }

    fn load(&self) -> Result<BTreeSet<Incident>, IncidentError> {
        let file = match File::open(&self.stored) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let file = io::BufReader::new(io::Read::take(file, MOST_BYTES));
        serde_json::from_reader(file).map_err(|error| self.failed(error.into()))
    }

    /// Replaces the file as a whole: after a crash it has the old or the new incidents.
    fn store(&self, open: &BTreeSet<Incident>) -> Result<(), IncidentError> {
        let write = || {
            let mut part = self.stored.clone().into_os_string();
            part.push(".part");
            let mut file = File::create(&part)?;
            file.write_all(&serde_json::to_vec(open)?)?;
            file.sync_all()?;
            fs::rename(&part, &self.stored)
        };
        write().map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> IncidentError {
        IncidentError::File { path: self.stored.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> (tempfile::TempDir, GateFile) {
        let folder = tempfile::tempdir().unwrap();
        let gate = GateFile::check(&folder.path().join("up.txt")).unwrap();
        gate.open().unwrap();
        (folder, gate)
    }

    fn incident(key: &str) -> Incident {
        ("rule".to_owned(), "CODE".to_owned(), key.to_owned())
    }

    #[test]
    fn a_gate_is_closed_from_the_first_firing_to_the_last_resolved_over_restarts() {
        let (_folder, gate) = gate();
        let incidents = || GateIncidents::of(gate.clone());
        incidents().resolve(&incident("unknown")).unwrap();
        assert!(gate.is_open().unwrap());
        incidents().fire(incident("a")).unwrap();
        incidents().fire(incident("b")).unwrap();
        incidents().fire(incident("a")).unwrap();
        assert!(!gate.is_open().unwrap());
        incidents().resolve(&incident("a")).unwrap();
        assert!(!gate.is_open().unwrap());
        incidents().resolve(&incident("b")).unwrap();
        assert!(gate.is_open().unwrap());
        gate.close().unwrap();
        incidents().resolve(&incident("b")).unwrap();
        assert!(!gate.is_open().unwrap(), "someone else closed it");
    }

    #[test]
    fn a_repeated_firing_closes_a_gate_that_was_opened_by_hand() {
        let (_folder, gate) = gate();
        let incidents = GateIncidents::of(gate.clone());
        incidents.fire(incident("a")).unwrap();
        gate.open().unwrap();
        incidents.fire(incident("a")).unwrap();
        assert!(!gate.is_open().unwrap());
    }

    #[test]
    fn the_number_of_incidents_is_bounded() {
        let (_folder, gate) = gate();
        let incidents = GateIncidents::of(gate);
        let open = (0..MOST).map(|number| incident(&number.to_string())).collect();
        incidents.store(&open).unwrap();
        assert!(matches!(incidents.fire(incident("more")), Err(IncidentError::TooMany)));
        incidents.fire(incident("7")).unwrap();
    }

    #[test]
    fn a_damaged_file_is_an_error_with_a_hint_and_changes_nothing() {
        let (folder, gate) = gate();
        fs::write(folder.path().join("up.txt.incidents"), "[").unwrap();
        let error = GateIncidents::of(gate.clone()).fire(incident("a")).unwrap_err().to_string();
        assert!(error.contains("up.txt.incidents: EOF"), "{error}");
        assert!(error.contains("hint: if the file is damaged, remove it"), "{error}");
        assert!(gate.is_open().unwrap());
    }
}
