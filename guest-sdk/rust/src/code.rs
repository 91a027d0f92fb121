//! Codes of verdicts, as constants that the manifest and the verdicts share.

use crate::Severity;
use crate::bindings::klaxon::rule::types;

/// A class of verdicts. A rule has a constant for each of its codes: the manifest declares it, and a verdict
/// names it, so that the compiler finds a misspelled code.
///
/// ```
/// use klaxon_sdk::prelude::*;
///
/// const OOM: Code =
///     Code::new("OOM", "Out of memory", Severity::Error, "A container was killed for memory");
///
/// let manifest = Manifest::new("oom", "1.0.0", "Containers killed for memory").code(OOM);
/// let verdict = Verdict::firing(OOM, "uid-1/app");
/// assert_eq!(verdict.code, manifest.codes[0].name);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Code {
    /// Name, unique in the manifest; `code` of a verdict.
    pub name: &'static str,
    /// Title of a verdict that does not set its own: one line for people.
    pub title: &'static str,
    /// Severity of a verdict that does not set its own.
    pub severity: Severity,
    /// Description for the operator, such as the condition that the code stands for.
    pub description: &'static str,
}

impl Code {
    /// Creates a code. The manifest must declare it with [`Manifest::code`](crate::Manifest::code) or
    /// [`Manifest::codes`](crate::Manifest::codes).
    pub const fn new(
        name: &'static str,
        title: &'static str,
        severity: Severity,
        description: &'static str,
    ) -> Self {
        Self { name, title, severity, description }
    }
}

impl From<Code> for types::Code {
    fn from(code: Code) -> Self {
        Self {
            name: code.name.to_owned(),
            title: code.title.to_owned(),
            severity: code.severity,
            description: code.description.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, Status, Verdict};

    const A: Code = Code::new("A", "Title", Severity::Error, "Description");
    const B: Code = Code::new("B", "", Severity::Info, "");
    const C: Code = Code::new("C", "", Severity::Info, "");

    #[test]
    fn the_manifest_declares_codes_in_the_order_of_the_calls() {
        let manifest = Manifest::new("a", "1.0.0", "").codes([A, B]).code(C);
        let names: Vec<&str> = manifest.codes.iter().map(|code| code.name.as_str()).collect();
        assert_eq!(names, ["A", "B", "C"]);
        let declared = &manifest.codes[0];
        assert_eq!((declared.title.as_str(), declared.severity), ("Title", Severity::Error));
        assert_eq!(declared.description, "Description");
    }

    #[test]
    fn verdicts_have_the_name_of_the_code_and_leave_the_rest_to_the_manifest() {
        let (firing, resolved) = (Verdict::firing(A, "key"), Verdict::resolved(A, "key"));
        assert_eq!((firing.code.as_str(), firing.status), ("A", Status::Firing));
        assert_eq!((resolved.code.as_str(), resolved.status), ("A", Status::Resolved));
        assert_eq!((firing.title.as_str(), firing.severity), ("", None));
    }
}
