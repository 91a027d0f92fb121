//! Creates new rules: a folder with a rule, a stream, a passing test, and the SDK that this binary contains,
//! so that nothing else is needed.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/rust/src");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../guest-sdk/wit");

/// Files of a new rule in Rust, with their contents.
const RUST: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("rust/Cargo.toml.in")),
    ("README.md", include_str!("rust/README.md.in")),
    ("src/lib.rs", include_str!("rust/src/lib.rs.in")),
    ("tests/@name@.test.yaml", include_str!("rust/tests/rule.test.yaml.in")),
    ("tests/pods.jsonl", include_str!("rust/tests/pods.jsonl.in")),
    ("klaxon-sdk/rust/Cargo.toml", include_str!("rust/sdk.toml.in")),
    (".gitignore", "/target\n"),
];

/// Error of creating a rule.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name is not a valid package name.
    #[error(
        "{0:?} is no name for a rule; hint: use lower-case letters, digits and hyphens, with a \
         letter first"
    )]
    Name(String),
    /// The folder exists already.
    #[error("{0} exists already; hint: choose another name")]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// Creates a folder with a rule in Rust, named after the last part of the path. `schemas` are files for
/// editors, by name.
///
/// # Errors
/// If the name is invalid, the folder exists, or a file cannot be written.
pub fn rust(folder: &Path, schemas: &[(&str, String)]) -> Result<(), ScaffoldError> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if !is_name(&name) {
        return Err(ScaffoldError::Name(name));
    }
    if folder.exists() {
        return Err(ScaffoldError::Exists(folder.to_owned()));
    }
    for (file, text) in RUST {
        let text = text.replace("@name@", &name).replace("@version@", env!("CARGO_PKG_VERSION"));
        write(&folder.join(file.replace("@name@", &name)), text.as_bytes())?;
    }
    for (file, text) in schemas {
        write(&folder.join("klaxon-sdk/schemas").join(file), text.as_bytes())?;
    }
    copy(&SDK, &folder.join("klaxon-sdk/rust/src"))?;
    copy(&CONTRACT, &folder.join("klaxon-sdk/wit"))
}

/// Returns `true` for a valid name: a subset of the names that cargo accepts for a package.
fn is_name(name: &str) -> bool {
    // The SDK in the rule's folder is a package of this name.
    name != "klaxon-sdk"
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn copy(from: &Dir<'_>, to: &Path) -> Result<(), ScaffoldError> {
    for file in from.files() {
        write(&to.join(file.path()), file.contents())?;
    }
    from.dirs().try_for_each(|dir| copy(dir, to))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ScaffoldError> {
    let fail = |source| ScaffoldError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    fs::write(path, bytes).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines `name = …` of a manifest's dependencies; inherited ones are looked up in the
    /// workspace.
    fn dependencies(manifest: &str, workspace: &str) -> Vec<String> {
        let section = |text: &str, name: &str| {
            let lines = text.lines().skip_while(|line| *line != name).skip(1);
            let lines = lines.take_while(|line| !line.starts_with('['));
            lines.filter(|line| line.contains('=')).map(str::to_owned).collect::<Vec<_>>()
        };
        let shared = section(workspace, "[workspace.dependencies]");
        let mut found: Vec<String> = section(manifest, "[dependencies]")
            .into_iter()
            .map(|line| match line.strip_suffix(".workspace = true") {
                Some(name) => {
                    let of = |one: &&String| one.starts_with(&format!("{name} = "));
                    shared.iter().find(of).unwrap_or_else(|| panic!("no {name}")).clone()
                }
                None => line,
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn the_sdk_that_is_shipped_depends_on_what_ours_does() {
        let root = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..");
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        let ours = dependencies(&read("guest-sdk/rust/Cargo.toml"), &read("Cargo.toml"));
        assert_eq!(dependencies(include_str!("rust/sdk.toml.in"), ""), ours);
    }

    #[test]
    fn the_sdk_is_shipped_whole() {
        let folder = tempfile::tempdir().unwrap();
        rust(&folder.path().join("oom"), &[]).unwrap();
        let count = |path: PathBuf| walkdir::WalkDir::new(path).into_iter().count();
        let sdk =
            Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../guest-sdk");
        let made = folder.path().join("oom/klaxon-sdk");
        assert_eq!(count(made.join("rust/src")), count(sdk.join("rust/src")));
        assert_eq!(count(made.join("wit")), count(sdk.join("wit")));
    }

    #[test]
    fn names_are_those_of_packages() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["klaxon-sdk", "Oom", "1oom", "o om", "ö", "o_m"] {
            let error = rust(&folder.path().join(name), &[]).unwrap_err();
            assert!(matches!(error, ScaffoldError::Name(_)), "{name}");
        }
        fs::create_dir(folder.path().join("oom")).unwrap();
        let error = rust(&folder.path().join("oom"), &[]).unwrap_err();
        assert!(matches!(error, ScaffoldError::Exists(_)));
    }
}
