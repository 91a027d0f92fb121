//! The written form of a target, from which the target can be made again after a secret was replaced.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::validate::Check;
use super::Target;
use super::file::TargetFile;
use crate::substitute;

/// A target as it is written, before references to files were substituted.
#[derive(Clone, Default, PartialEq)]
pub struct Origin {
    name: String,
    written: Value,
    base: PathBuf,
}

impl fmt::Debug for Origin {
    /// Omits the written form, which may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Origin {
    /// Creates the origin of the target `name`; paths in `written` are relative to `base`.
    pub fn new(name: &str, written: Value, base: &Path) -> Self {
        Self { name: name.to_owned(), written, base: base.to_owned() }
    }

    /// Returns `true` if the target refers to files, such as `${file:…}` or a certificate.
    pub fn has_files(&self) -> bool {
        let text = self.written.to_string();
        text.contains("${file:") || text.contains("\"tls\"") || text.contains("\"credentials\"")
    }

    /// Makes the target from the present contents of its files. Reads the disk.
    ///
    /// # Errors
    /// Returns the present errors of the target, without secrets.
    pub fn read_again(&self) -> Result<Target, String> {
        let mut value = self.written.clone();
        let mut found = Vec::new();
        substitute::all(&mut value, "", &self.base, &mut found);
        let mut check = Check::new(&self.base, found);
        // The error of serde is dropped: it repeats the value, which may hold a secret.
        let file: Option<TargetFile> = serde_json::from_value(value).ok();
        let target =
            file.and_then(|file| super::target(&mut check, &self.name, file, self.clone()));
        match (target, check.found.as_slice()) {
            (Some(target), []) => Ok(target),
            (_, []) => Err("it cannot be read any longer".to_owned()),
            (_, found) => {
                let texts: Vec<String> =
                    found.iter().map(|(at, what)| format!("{at}: {what}")).collect();
                Err(texts.join("; "))
            }
        }
    }
}
