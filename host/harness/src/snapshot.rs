//! Reviewed verdicts in files of insta's format, for `cargo insta review`: a header between lines of three
//! dashes, then the contents.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use klaxon_core::verdict::Refusal;
use klaxon_model::Verdict;

/// Handling of a snapshot that is missing or differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update {
    /// Write nothing; the case fails.
    #[default]
    No,
    /// Write the snapshot: the verdicts are correct.
    Accept,
    /// Write a file beside the snapshot, with the suffix `.new`, for `cargo insta review`; the case fails.
    Review,
}

/// Result of comparing a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// The snapshot equals the verdicts.
    Same,
    /// The snapshot was missing or differed, and was written.
    Written,
    /// The snapshot differs; contains its text, or `None` if it is missing.
    Differs(Option<String>),
}

/// Formats verdicts for a reviewer: two lines each, without parts that differ between hosts.
pub(super) fn contents(verdicts: &[Verdict], refusals: &[Refusal]) -> String {
    if verdicts.is_empty() {
        return "nothing is said".to_owned();
    }
    let refused = |verdict: &Verdict| {
        let of = refusals.iter().filter(|one| one.verdict == verdict.id);
        of.map(|one| format!(" refused={}", one.target)).collect::<String>()
    };
    let lines = verdicts.iter().map(|verdict| {
        let object = &verdict.object;
        let mut line = format!("{} {} {}", verdict.time, verdict.code, object.kind);
        line.push(' ');
        if !object.namespace.is_empty() {
            line.push_str(&format!("{}/", object.namespace));
        }
        line.push_str(&format!(
            "{} {} {}",
            object.name,
            severity(verdict),
            verdict.status.as_str()
        ));
        line.push_str(&format!(" key={:?} title={:?}", verdict.key, verdict.title));
        if let Some(delta) = verdict.delta {
            line.push_str(&format!(" delta={delta}"));
        }
        if !verdict.targets.is_empty() {
            line.push_str(&format!(" targets={}", verdict.targets.join(",")));
        }
        if verdict.gap {
            line.push_str(" gap");
        }
        line.push_str(&refused(verdict));
        format!("{line}\n  {}", verdict.payload.get().replace(['\n', '\r'], " "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the severity as in a verdict's JSON.
pub(super) fn severity(verdict: &Verdict) -> String {
    serde_json::to_string(&verdict.severity).unwrap_or_default().trim_matches('"').to_owned()
}

/// Compares contents with the file, and writes it as `update` requires.
///
/// # Errors
/// If a file cannot be read or written.
pub(super) fn compare(
    file: &Path,
    source: &str,
    expression: &str,
    contents: &str,
    update: Update,
) -> io::Result<Compared> {
    let reviewed = match fs::read_to_string(file) {
        // A checkout may have converted the line endings.
        Ok(text) => Some(body(&text.replace("\r\n", "\n")).to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let beside = file.with_extension("snap.new");
    if reviewed.as_deref().map(str::trim_end) == Some(contents.trim_end()) {
        remove(&beside)?;
        return Ok(Compared::Same);
    }
    let target = match update {
        Update::No => return Ok(Compared::Differs(reviewed)),
        Update::Accept => file,
        Update::Review => &beside,
    };
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let header = format!("source: {}\nexpression: {}", quoted(source), quoted(expression));
    fs::write(target, format!("---\n{header}\n---\n{contents}\n"))?;
    if update == Update::Review {
        return Ok(Compared::Differs(reviewed));
    }
    remove(&beside)?;
    Ok(Compared::Written)
}

/// Returns the snapshot files of a test file, given by the stem of its name, that no case uses.
pub(super) fn unused(file: &Path, stem: &str, used: Vec<&Path>) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("")).join("snapshots");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        name.starts_with(&format!("{stem}__"))
            && (name.ends_with(".snap") && !used.contains(&path.as_path())
                || name.ends_with(".snap.new")
                    && !used.contains(&path.with_extension("").as_path()))
    };
    let mut unused: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_ours).collect();
    unused.sort();
    unused
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the text below the header.
fn body(text: &str) -> &str {
    let rest = text.strip_prefix("---\n").unwrap_or(text);
    rest.split_once("\n---\n").map_or(text, |(_, body)| body)
}
