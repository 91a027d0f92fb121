//! Coverage: the share of a rule's codes that its tests emit.

use std::collections::BTreeSet;

use serde::Serialize;

use klaxon_model::Manifest;

/// Coverage of the codes that a rule declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Number of codes that the rule declares.
    pub declared: usize,
    /// Codes that no passing case emits, in the manifest's order.
    pub missing: Vec<String>,
    /// Required coverage in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u8>,
}

impl Coverage {
    /// Computes the coverage from the emitted codes.
    pub(super) fn of(manifest: &Manifest, said: &BTreeSet<&str>, wanted: Option<u8>) -> Self {
        let codes = manifest.codes.iter().map(|code| code.name.clone());
        let missing = codes.filter(|code| !said.contains(code.as_str())).collect();
        Self { declared: manifest.codes.len(), missing, wanted }
    }

    /// Returns the coverage in percent, rounded down; 100 for a rule without codes.
    pub fn percent(&self) -> u8 {
        let covered = self.declared - self.missing.len();
        let percent = (covered * 100).checked_div(self.declared).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }

    /// Returns `true` if the required coverage is reached.
    pub fn suffices(&self) -> bool {
        self.wanted.is_none_or(|wanted| self.percent() >= wanted)
    }
}
