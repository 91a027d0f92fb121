//! Locates the journal.

use std::path::{Path, PathBuf};

use clap::Args;

use super::CommandError;
use klaxon_config::Config;
use klaxon_journal::DEFAULT_FOLDER;
use klaxon_journal::inspect::{Editor, InspectError, Reader};

/// The default configuration.
const CONFIG: &str = "klaxon.yaml";

/// The arguments that locate the journal.
#[derive(Debug, Args)]
pub(super) struct JournalPathArguments {
    /// The configuration that says where the journal is [default: klaxon.yaml, if there is one]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "path")]
    config: Option<PathBuf>,
    /// The journal's folder
    #[arg(long, global = true, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

/// A journal's folder, and the reason for choosing it.
#[derive(Debug)]
pub(super) struct JournalPath {
    pub(super) folder: PathBuf,
    why: String,
}

impl JournalPathArguments {
    pub(super) fn find(&self) -> Result<JournalPath, CommandError> {
        if let Some(path) = &self.path {
            return Ok(JournalPath { folder: path.clone(), why: "as --path says".to_owned() });
        }
        let file = match &self.config {
            Some(file) => file,
            None if Path::new(CONFIG).exists() => Path::new(CONFIG),
            None => {
                let why = format!("the usual folder, for there is no {CONFIG} here");
                return Ok(JournalPath { folder: DEFAULT_FOLDER.into(), why });
            }
        };
        let config = Config::read_without_targets(file).map_err(|errors| {
            CommandError::usage(format!(
                "{errors}\nhint: correct it, or name the folder with --path"
            ))
        })?;
        let file = file.display();
        Ok(match config.journal.path {
            Some(folder) => JournalPath { folder, why: format!("journal.path of {file}") },
            None => {
                let why = format!("the usual folder, for {file} has no journal.path");
                JournalPath { folder: DEFAULT_FOLDER.into(), why }
            }
        })
    }
}

impl JournalPath {
    pub(super) fn reader(&self) -> Result<Reader, CommandError> {
        Reader::open(&self.folder).map_err(|error| self.explain(error))
    }

    pub(super) fn editor(&self) -> Result<Editor, CommandError> {
        Editor::open(&self.folder).map_err(|error| self.explain(error))
    }

    /// Converts an error. If there is no journal, the message says why this folder was chosen.
    pub(super) fn explain(&self, error: InspectError) -> CommandError {
        match error {
            InspectError::Missing { path } => CommandError::usage(format!(
                "there is no journal at {} ({}); hint: name its folder with --path, or the \
                 configuration with --config; a service that found no folder to write to says in its \
                 log where it is",
                path.display(),
                self.why
            )),
            error => error.into(),
        }
    }
}
