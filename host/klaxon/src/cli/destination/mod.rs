//! The files that `klaxon record` writes. Everything that can be wrong with them is checked before anything is
//! recorded, because a recording of a cluster cannot be repeated. They are written beside their destination, and take
//! their names when all of them are complete.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files to write, one for each stream.
#[derive(Debug)]
pub(super) struct Destination {
    files: Vec<Target>,
    /// Folders that did not exist before, the innermost first. They are removed again if nothing is written.
    made: Vec<PathBuf>,
}

/// A file to write.
#[derive(Debug)]
struct Target {
    /// The name of its stream.
    stream: PathBuf,
    /// The path as the user knows it.
    shown: PathBuf,
    /// The path that is written: the end of a symbolic link.
    path: PathBuf,
    /// The temporary path, beside it.
    part: PathBuf,
}

impl Destination {
    /// Checks `-o` as far as that is possible before the streams are known; there are at least so many.
    ///
    /// # Errors
    /// The reason why `-o` cannot be written, with a hint.
    pub(super) fn check(out: &Path, force: bool, streams: usize) -> Result<(), String> {
        check_name(out, streams)?;
        if !is_folder(out) {
            return match streams {
                0 | 1 => Self::prepare(out, force, &[PathBuf::new()]).map(drop),
                _ if exists(out) => Err(no_folder(out)),
                _ => Ok(()),
            };
        }
        let entries = match std::fs::read_dir(out) {
            // It is made later.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => {
                entries.map_err(|error| format!("{}: {error}; hint: check -o", out.display()))?
            }
        };
        let mut files = entries.flatten().map(|entry| entry.path());
        let stream = files.find(|path| path.extension().is_some_and(|end| end == "jsonl"));
        match stream {
            Some(stream) if !force => Err(format!(
                "-o {}: there are streams already, such as {}; hint: name another folder, or replace those of the same name with --force",
                out.display(),
                stream.display()
            )),
            _ => Ok(()),
        }
    }

    /// Checks every file to write, and makes the folder. One stream is written to a file, several to files with their
    /// names in a folder.
    ///
    /// # Errors
    /// The reason why a file cannot be written, with a hint.
    pub(super) fn prepare(out: &Path, force: bool, streams: &[PathBuf]) -> Result<Self, String> {
        check_name(out, streams.len())?;
        let in_folder = is_folder(out) || streams.len() > 1;
        let mut destination = Self { files: Vec::new(), made: Vec::new() };
        if in_folder {
            destination.make(out)?;
        }
        for stream in streams {
            let shown = if in_folder {
                out.join(stream.file_name().unwrap_or_default())
            } else {
                out.to_owned()
            };
            let path = resolve(&shown)?;
            destination.check_file(&path, &shown, streams)?;
            if !force && path.exists() {
                return Err(format!(
                    "{}: it is there already; hint: name another -o, or replace it with --force",
                    shown.display()
                ));
            }
            let part = part(&path);
            let stream = stream.file_name().unwrap_or_default().into();
            destination.files.push(Target { stream, shown, path, part });
        }
        for file in &destination.files {
            drop(create(&file.part)?);
            drop(std::fs::remove_file(&file.part));
        }
        Ok(destination)
    }

    /// Drops the files of all streams but these.
    pub(super) fn retain(&mut self, streams: &[PathBuf]) {
        self.files
            .retain(|file| streams.iter().any(|one| one.file_name() == file.stream.file_name()));
    }

    /// Returns the temporary paths, in the order of the streams.
    pub(super) fn parts(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.part.clone()).collect()
    }

    /// Gives every file its name. Returns the paths as the user knows them.
    ///
    /// # Errors
    /// The file that cannot be named, and how many were named before.
    pub(super) fn finish(mut self) -> Result<Vec<PathBuf>, String> {
        if let Some(file) = self.files.iter().find(|file| file.path.is_dir()) {
            return Err(irregular(&file.shown, true));
        }
        for (before, file) in self.files.iter().enumerate() {
            std::fs::rename(&file.part, &file.path).map_err(|error| {
                let number = self.files.len();
                let written = match before {
                    0 => "nothing was written".to_owned(),
                    _ => format!("written so far: {before} of {number} streams"),
                };
                format!("{}: {error}; {written}; hint: check -o", file.shown.display())
            })?;
        }
        self.made.clear();
        Ok(self.files.iter().map(|file| file.shown.clone()).collect())
    }

    fn make(&mut self, folder: &Path) -> Result<(), String> {
        if exists(folder) && !folder.is_dir() {
            return Err(no_folder(folder));
        }
        let missing = folder.ancestors().take_while(|part| !part.as_os_str().is_empty());
        self.made = missing.take_while(|part| !exists(part)).map(Path::to_owned).collect();
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}; hint: check -o", folder.display()))
    }

    /// Rejects a file that another stream is written to, or that is read.
    fn check_file(&self, path: &Path, shown: &Path, streams: &[PathBuf]) -> Result<(), String> {
        if self.files.iter().any(|before| before.path == path) {
            return Err(format!(
                "two streams would be written to {}; hint: record them one by one, with the same --key",
                shown.display()
            ));
        }
        let canonical = |path: &Path| std::fs::canonicalize(path).ok();
        let target = canonical(path);
        if target.is_some() && streams.iter().any(|one| canonical(one) == target) {
            return Err(format!(
                "{} would be overwritten while it is read; hint: name another -o",
                shown.display()
            ));
        }
        Ok(())
    }
}

impl Drop for Destination {
    /// Removes what is not complete.
    fn drop(&mut self) {
        // Any of them may not exist, or not any longer.
        for file in &self.files {
            drop(std::fs::remove_file(&file.part));
        }
        for folder in &self.made {
            drop(std::fs::remove_dir(folder));
        }
    }
}

/// Creates a temporary file. One that an earlier recording left behind is replaced, and no link is followed.
pub(super) fn create(part: &Path) -> Result<File, String> {
    drop(std::fs::remove_file(part));
    let file = OpenOptions::new().write(true).create_new(true).open(part);
    file.map_err(|error| format!("{}: {error}; hint: check -o", part.display()))
}

/// Returns the temporary name of a file, such as `.part.pods.jsonl.zst`: its ending selects the compression.
fn part(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".part.{name}"))
}

/// Rejects stdout, and the name of a stream as the folder of several.
fn check_name(out: &Path, streams: usize) -> Result<(), String> {
    if out == Path::new("-") {
        return Err("-o -: a recording is proven before it is shown; hint: name a file".to_owned());
    }
    let end = out.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if streams < 2 || is_folder(out) || !["json", "jsonl", "gz", "zst"].contains(&end) {
        return Ok(());
    }
    Err(format!(
        "-o {}: {streams} streams are written to a folder, and this is the name of a file; hint: name a folder, such as -o recorded/",
        out.display()
    ))
}

/// Returns the file that is written for a path: the end of a symbolic link. It need not exist.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    let fail = |error: std::io::Error| format!("{}: {error}; hint: check -o", path.display());
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path.to_owned()),
        found => found.map_err(fail)?,
    };
    let end = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!(
            "{}: this is a symbolic link to nothing; hint: remove it, or name another -o",
            path.display()
        ),
        _ => fail(error),
    })?;
    if !end.is_file() {
        return Err(irregular(path, end.is_dir()));
    }
    if found.is_symlink() { std::fs::canonicalize(path).map_err(fail) } else { Ok(path.to_owned()) }
}

fn no_folder(out: &Path) -> String {
    format!(
        "-o {}: this is no folder, and several streams are written to one; hint: name another -o",
        out.display()
    )
}

fn irregular(path: &Path, is_folder: bool) -> String {
    let what = if is_folder { "a folder" } else { "no regular file" };
    format!("{}: this is {what}, and is never replaced; hint: name another -o", path.display())
}

/// Returns `true` if there is anything at a path, be it a symbolic link to nothing.
fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn is_folder(out: &Path) -> bool {
    out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests;
