//! A rule's folder: the path of its built module, and the check that the module is up to date.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Crate, Error, Toolchain, compile, componentize};

/// A folder with a rule's crate.
#[derive(Debug, Clone)]
pub struct RuleFolder {
    folder: PathBuf,
    name: String,
    target_dir: PathBuf,
}

impl RuleFolder {
    /// Opens a folder that has a `Cargo.toml`. The rule has the name of the folder.
    ///
    /// # Errors
    /// If the folder does not exist, or contains no crate.
    pub fn at(folder: &Path) -> Result<Self, Error> {
        let found = fs::canonicalize(folder)
            .map_err(|source| Error::NoFolder { folder: folder.to_owned(), source })?;
        if !found.join("Cargo.toml").is_file() {
            return Err(Error::NoCrate { folder: found });
        }
        let name = found.file_name().map(|name| name.to_string_lossy().into_owned());
        let target_dir = target_dir(&found);
        Ok(Self { name: name.unwrap_or_default(), folder: found, target_dir })
    }

    /// Returns the rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the built module, which may not exist yet: `rules/<name>.wasm` in cargo's target
    /// directory (`CARGO_TARGET_DIR`, else `target` in the workspace or the folder).
    pub fn module(&self) -> PathBuf {
        self.target_dir.join("rules").join(format!("{}.wasm", self.name))
    }

    /// Returns `true` if the module exists and is newer than all its inputs.
    pub fn is_fresh(&self) -> bool {
        let Some(built) = modified(&self.module()) else { return false };
        let Ok(inputs) = fs::read_to_string(self.inputs()) else { return false };
        let mut inputs = inputs.lines();
        // The module may have been built from a folder of this name in another checkout.
        inputs.next() == self.folder.to_str()
            && inputs.all(|input| modified(Path::new(input)).is_some_and(|at| at <= built))
    }

    /// Builds the module, as a component. Cargo's progress goes to stderr.
    ///
    /// # Errors
    /// If cargo fails, or its result cannot be converted to a component.
    pub fn build(&self, toolchain: &Toolchain) -> Result<PathBuf, Error> {
        let file = |path: &Path, source| Error::File { path: path.to_owned(), source };
        let built = self.module();
        let folder = built.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|source| file(folder, source))?;
        // The module gets the time at which the build began, so that a file saved during compilation is
        // newer.
        let inputs = self.inputs();
        write(&inputs, b"")?;
        let mut began = modified(&inputs);
        let module = compile(
            toolchain,
            &Crate {
                manifest: &self.folder.join("Cargo.toml"),
                name: &self.name,
                target_dir: &self.target_dir.join("rules-build"),
            },
        )?;
        let component = componentize(&read(&module)?)?;
        write(&inputs, self.made_of(&module)?.as_bytes())?;
        // Cargo itself may have written the lock file at its start.
        began = began.max(modified(&workspace(&self.folder).join("Cargo.lock")));
        // Replaced atomically: a program that reads the module meanwhile gets the old file or the new one.
        let unfinished = built.with_extension("wasm.part");
        write(&unfinished, &component)?;
        if let Some(began) = began {
            let written = fs::File::options().append(true).open(&unfinished);
            written
                .and_then(|module| module.set_modified(began))
                .map_err(|source| file(&unfinished, source))?;
        }
        fs::rename(&unfinished, &built).map_err(|source| file(&built, source))?;
        Ok(built)
    }

    fn inputs(&self) -> PathBuf {
        self.module().with_extension("inputs")
    }

    /// Returns the folder, then every file that the compiler read. They are listed in cargo's dep-info beside
    /// the module (`module: file file …`, spaces in names escaped).
    fn made_of(&self, module: &Path) -> Result<String, Error> {
        let dep_info = read(&module.with_extension("d"))?;
        let dep_info = String::from_utf8_lossy(&dep_info);
        let files = dep_info.lines().next().unwrap_or_default();
        let files = files.split_once(": ").map_or("", |(_, files)| files);
        let files = files.replace("\\ ", "\0");
        let sources = files.split(' ').filter(|file| !file.is_empty());
        let mut lines = vec![self.folder.display().to_string()];
        lines.extend(sources.map(|file| file.replace('\0', " ")));
        // Up to the workspace, because its lock file determines the dependencies outside this folder.
        let up_to = workspace(&self.folder);
        for folder in self.folder.ancestors().take_while(|folder| folder.starts_with(up_to)) {
            let manifests = ["Cargo.toml", "Cargo.lock"].map(|file| folder.join(file));
            let manifests = manifests.iter().filter(|file| file.is_file());
            lines.extend(manifests.map(|file| file.display().to_string()));
        }
        Ok(lines.join("\n"))
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Returns cargo's target directory for a crate without running cargo, which would take longer
/// than everything else.
fn target_dir(folder: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => dir.into(),
        Some(dir) => std::env::current_dir().unwrap_or_default().join(dir),
        None => workspace(folder).join("target"),
    }
}

/// Returns the workspace folder of a crate; the crate's own folder if it belongs to no workspace.
fn workspace(folder: &Path) -> &Path {
    let is_workspace = |at: &&Path| {
        let manifest = fs::read_to_string(at.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim_start().starts_with("[workspace"))
    };
    folder.ancestors().find(is_workspace).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn aged(path: &Path, text: &str, seconds_ago: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let file = fs::File::options().append(true).open(path).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 - seconds_ago);
        file.set_modified(long_ago).unwrap();
    }

    #[test]
    fn a_module_is_fresh_until_something_that_it_was_made_of_changes() {
        let place = tempfile::tempdir().unwrap();
        let crate_at = |name: &str| {
            let folder = place.path().join(name).join("oom");
            aged(&folder.join("Cargo.toml"), "[workspace]\n", 100);
            aged(&folder.join("src/lib.rs"), "", 100);
            let target_dir = place.path().join("shared-target");
            RuleFolder { target_dir, ..RuleFolder::at(&folder).unwrap() }
        };
        let (rule, other) = (crate_at("one"), crate_at("two"));
        assert!(!rule.is_fresh(), "nothing was built");
        let source = rule.folder.join("src/lib.rs");
        let built = place.path().join("built.wasm");
        let dep_info = format!("{}: {}\n", built.display(), source.display());
        aged(&built.with_extension("d"), &dep_info, 50);
        aged(&rule.inputs(), &rule.made_of(&built).unwrap(), 50);
        aged(&rule.module(), "", 50);
        assert!(rule.is_fresh());
        assert!(!other.is_fresh(), "a folder of the same name elsewhere");
        aged(&source, "changed", 10);
        assert!(!rule.is_fresh());
        aged(&source, "", 100);
        assert!(rule.is_fresh());
        aged(&rule.folder.join("Cargo.toml"), "[workspace]\n", 10);
        assert!(!rule.is_fresh());
        aged(&rule.folder.join("Cargo.toml"), "[workspace]\n", 100);
        fs::remove_file(&source).unwrap();
        assert!(!rule.is_fresh(), "what is gone was changed");
    }

    #[test]
    fn a_folder_without_a_crate_is_told() {
        let place = tempfile::tempdir().unwrap();
        let error = RuleFolder::at(place.path()).unwrap_err().to_string();
        assert!(error.contains("has no Cargo.toml; hint: name the folder of a rule"), "{error}");
        assert!(RuleFolder::at(&place.path().join("nowhere")).is_err());
    }
}
