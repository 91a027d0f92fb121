//! A rule's folder: where its module is built to, and whether that is up to date.

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
    /// A folder that has a `Cargo.toml`. The rule is called like the folder.
    ///
    /// # Errors
    /// Where there is no such folder, or no crate in it.
    pub fn at(folder: &Path) -> Result<Self, Error> {
        let found = fs::canonicalize(folder)
            .map_err(|source| Error::File { path: folder.to_owned(), source })?;
        if !found.join("Cargo.toml").is_file() {
            return Err(Error::NoCrate { folder: found });
        }
        let name = found.file_name().map(|name| name.to_string_lossy().into_owned());
        let target_dir = target_dir(&found);
        Ok(Self { name: name.unwrap_or_default(), folder: found, target_dir })
    }

    /// The rule's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the built module, whether or not it is there: `rules/<name>.wasm` in cargo's
    /// target directory (`CARGO_TARGET_DIR`, else `target` in the workspace or the folder).
    pub fn module(&self) -> PathBuf {
        self.target_dir.join("rules").join(format!("{}.wasm", self.name))
    }

    /// Whether the module is there and newer than all that it was made of.
    pub fn is_fresh(&self) -> bool {
        let Some(built) = modified(&self.module()) else { return false };
        let Ok(inputs) = fs::read_to_string(self.inputs()) else { return false };
        let mut inputs = inputs.lines();
        // Another checkout with a folder of this name may have built it.
        inputs.next() == self.folder.to_str()
            && inputs.all(|input| modified(Path::new(input)).is_some_and(|at| at <= built))
    }

    /// Builds the module, as a component. Cargo's progress goes to stderr.
    ///
    /// # Errors
    /// Where cargo fails, or what it makes is no component.
    pub fn build(&self, toolchain: &Toolchain) -> Result<PathBuf, Error> {
        let module = compile(
            toolchain,
            &Crate {
                manifest: &self.folder.join("Cargo.toml"),
                name: &self.name,
                target_dir: &self.target_dir.join("rules-build"),
            },
        )?;
        let component = componentize(&read(&module)?)?;
        let built = self.module();
        let folder = built.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .map_err(|source| Error::File { path: folder.to_owned(), source })?;
        write(&self.inputs(), self.made_of(&module).as_bytes())?;
        // In one step: whoever runs the rule meanwhile sees the old file or the new one.
        let unfinished = built.with_extension("wasm.part");
        write(&unfinished, &component)?;
        fs::rename(&unfinished, &built)
            .map_err(|source| Error::File { path: built.clone(), source })?;
        Ok(built)
    }

    fn inputs(&self) -> PathBuf {
        self.module().with_extension("inputs")
    }

    /// The folder, then every file that the compiler read, as cargo's dep-info beside the module
    /// lists them (`module: file file …`, blanks in names escaped).
    fn made_of(&self, module: &Path) -> String {
        let dep_info = fs::read_to_string(module.with_extension("d")).unwrap_or_default();
        let files = dep_info.lines().next().unwrap_or_default();
        let files = files.split_once(": ").map_or("", |(_, files)| files);
        let files = files.replace("\\ ", "\0");
        let sources = files.split(' ').filter(|file| !file.is_empty());
        let mut lines = vec![self.folder.display().to_string()];
        lines.extend(sources.map(|file| file.replace('\0', " ")));
        let manifests = ["Cargo.toml", "Cargo.lock"].map(|file| self.folder.join(file));
        let manifests = manifests.iter().filter(|file| file.is_file());
        lines.extend(manifests.map(|file| file.display().to_string()));
        lines.join("\n")
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

/// Cargo's target directory for a crate, without asking cargo, which takes longer than all else.
fn target_dir(folder: &Path) -> PathBuf {
    let workspace = || {
        let is_workspace = |at: &&Path| {
            let manifest = fs::read_to_string(at.join("Cargo.toml")).unwrap_or_default();
            manifest.lines().any(|line| line.trim_start().starts_with("[workspace"))
        };
        folder.ancestors().find(is_workspace).unwrap_or(folder)
    };
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => dir.into(),
        Some(dir) => std::env::current_dir().unwrap_or_default().join(dir),
        None => workspace().join("target"),
    }
}
