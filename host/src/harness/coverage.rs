//! Which of a rule's codes are said in its tests.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::Manifest;

/// Coverage of the codes that a rule declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How many codes the rule declares.
    pub declared: usize,
    /// Those that no passing case says, in the manifest's order.
    pub missing: Vec<String>,
    /// The share that must be said, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u8>,
}

impl Coverage {
    /// Of codes that were said.
    pub(super) fn of(manifest: &Manifest, said: &BTreeSet<&str>, wanted: Option<u8>) -> Self {
        let codes = manifest.codes.iter().map(|code| code.name.clone());
        let missing = codes.filter(|code| !said.contains(code.as_str())).collect();
        Self { declared: manifest.codes.len(), missing, wanted }
    }

    /// In percent, rounded down; a rule without codes is covered.
    pub fn percent(&self) -> u8 {
        let covered = self.declared - self.missing.len();
        let percent = (covered * 100).checked_div(self.declared).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }

    /// Whether enough is said.
    pub fn suffices(&self) -> bool {
        self.wanted.is_none_or(|wanted| self.percent() >= wanted)
    }
}
