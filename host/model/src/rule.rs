//! A rule that is in use, as every stage but the engine knows it: without its code.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Capability, Limits, Manifest};

/// Identifies a rule of a host: its index in the order in which the rules were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub usize);

/// The description of a rule that was loaded and that accepted its settings.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// Index among the rules of the host.
    pub id: RuleId,
    /// Configured name of the rule.
    pub name: Arc<str>,
    /// BLAKE3 hash of the module's file, in hexadecimal.
    pub digest: String,
    /// Manifest that the rule's `describe` returned.
    pub manifest: Manifest,
    /// Capabilities that the rule imports.
    pub capabilities: BTreeSet<Capability>,
    /// Settings of the rule, as JSON.
    pub settings: String,
    /// Limits of the rule.
    pub limits: Limits,
}
