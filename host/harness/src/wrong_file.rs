//! Clear errors for files of another kind than a command expects.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use klaxon_engine::LoadErrorKind;
use klaxon_recording::StreamFile;

/// The bytes at the beginning of a WebAssembly file.
const WASM: &[u8] = b"\0asm";
/// The bytes after [`WASM`] of a core module; a component has others.
const CORE: &[u8] = &[1, 0, 0, 0];
/// The number of bytes that are looked at. A stream may begin with blank lines.
const BEGINNING: u64 = 4096;
/// The maximum number of characters of a file that an error quotes.
const QUOTED: usize = 30;

/// Returns a better description of a load error, if the module's file explains it: it is not WebAssembly at all, or a
/// core module without the contract.
pub fn wrong_module(module: &Path, error: &LoadErrorKind) -> Option<String> {
    let bytes = beginning(module)?;
    match (error, bytes.strip_prefix(WASM)) {
        (LoadErrorKind::NotWasm(_), None) => Some(format!(
            "this is no WebAssembly module ({}); hint: name the .wasm that `klaxon rule build` makes, or the \
             rule's folder",
            quoted(&bytes)
        )),
        (LoadErrorKind::NotARule(_), Some(rest)) if rest.starts_with(CORE) => Some(
            "this is a core module without the interface of a rule, and no component; hint: build it with \
             `klaxon rule build`"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Checks that a stream's file begins like JSON. Compressed files and files that cannot be read are left to their
/// reader.
///
/// # Errors
/// The description of a file that is something else, with a hint.
pub fn check_stream(stream: &StreamFile) -> Result<(), String> {
    let path = &stream.path;
    let is_packed = path.extension().is_some_and(|end| end == "gz" || end == "zst");
    if stream.text.is_some() || is_packed {
        return Ok(());
    }
    let Some(bytes) = beginning(path) else { return Ok(()) };
    match bytes.trim_ascii_start().first() {
        None | Some(b'{') => Ok(()),
        Some(_) => Err(format!(
            "stream {}: this is no JSON ({}); hint: a stream is what `kubectl get … -w -o json \
             --output-watch-events` prints, or what `klaxon record` writes",
            path.display(),
            quoted(&bytes)
        )),
    }
}

fn beginning(path: &Path) -> Option<Vec<u8>> {
    // Looked at before it is opened: opening a named pipe waits for its writer.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(BEGINNING).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Quotes the first line of a text; other bytes are only described, because a terminal may obey them.
fn quoted(bytes: &[u8]) -> String {
    let bytes = bytes.trim_ascii_start();
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    if bytes.starts_with(WASM) {
        return "it is WebAssembly".to_owned();
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(line).chars().take(QUOTED).collect();
    let text = text.trim_end();
    if text.chars().any(|one| one.is_control() && one != '\t') || text.contains('\u{fffd}') {
        return "it begins with bytes that are no text".to_owned();
    }
    format!("it begins with {text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn stream(bytes: &[u8]) -> Result<(), String> {
        let (_folder, path) = file("pods.jsonl", bytes);
        check_stream(&StreamFile::at(path))
    }

    #[test]
    fn a_file_that_is_no_json_is_no_stream() {
        for right in [&b""[..], b"\n\n", b" \n{\"at\": 1}"] {
            stream(right).unwrap();
        }
        let error = stream(b"import sys\nprint()\n").unwrap_err();
        assert!(
            error.contains("this is no JSON (it begins with \"import sys\"); hint: "),
            "{error}"
        );
        let error = stream(b"\x1b[31m\n").unwrap_err();
        assert!(error.contains("(it begins with bytes that are no text)"), "{error}");
        let error = stream(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(error.contains("(it is WebAssembly)"), "{error}");
        check_stream(&StreamFile::at("/nowhere".into())).unwrap();
    }

    #[test]
    fn a_pipe_without_a_writer_is_left_to_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe.jsonl");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (sender, checked) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || sender.send(check_stream(&StreamFile::at(path))));
        checked.recv_timeout(std::time::Duration::from_secs(60)).unwrap().unwrap();
    }

    #[test]
    fn junk_and_core_modules_are_described() {
        let not_wasm = LoadErrorKind::NotWasm("bad magic number".to_owned());
        let (_folder, junk) = file("junk.wasm", b"#!/bin/sh\n");
        let why = wrong_module(&junk, &not_wasm).unwrap();
        assert!(
            why.starts_with("this is no WebAssembly module (it begins with \"#!/bin/sh\")"),
            "{why}"
        );
        let not_a_rule = LoadErrorKind::NotARule(String::new());
        let (_folder, core) = file("core.wasm", b"\0asm\x01\0\0\0");
        assert!(wrong_module(&core, &not_a_rule).unwrap().starts_with("this is a core module"));
        assert_eq!(wrong_module(&core, &not_wasm), None, "the module is truncated");
        let (_folder, component) = file("other.wasm", b"\0asm\x0d\0\x01\0");
        assert_eq!(wrong_module(&component, &not_a_rule), None);
    }
}
