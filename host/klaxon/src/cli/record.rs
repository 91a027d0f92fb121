//! `klaxon record`.
#![expect(clippy::print_stderr, reason = "it tells what it wrote")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::fail;
use super::rule::load;
use super::{CacheArguments, Exit};
use klaxon_harness::record::{Recorded, copy, learn, says_the_same};
use klaxon_harness::{RuleUnderTest, field, keep_for};
use klaxon_model::Timestamp;
use klaxon_recording::StreamFile;
use klaxon_recording::redact::{Keep, Redactor, Values};

#[derive(Debug, Args)]
pub(super) struct RecordArguments {
    /// Recorded streams to write anew; .gz and .zst are read too
    /// [default: a cluster is recorded]
    #[arg(long, value_name = "STREAM", num_args = 1..)]
    from: Vec<PathBuf>,
    #[command(flatten)]
    live: super::live::LiveArguments,
    /// Destination: a file for one stream, a folder for several; .gz and .zst are compressed
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Rules (folders or .wasm) whose interests decide what stays readable; each must emit the same codes afterwards
    #[arg(long, value_name = "RULE", num_args = 1..)]
    rule: Vec<PathBuf>,
    /// Settings of the rule, as JSON; with one --rule only
    #[arg(long, value_name = "FILE", requires = "rule")]
    settings: Option<PathBuf>,
    /// More that stays readable: label:KEY (with its values), annotation:KEY, name:NAME, word:WORD or
    /// field:JSONPATH
    #[arg(long, value_name = "WHAT")]
    keep: Vec<String>,
    /// A file of at least 16 secret bytes: the same key gives the same pseudonyms [default: a random
    /// key that nobody knows]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Replace nothing
    #[arg(long, conflicts_with_all = ["keep", "key"])]
    no_redact: bool,
    /// Objects before this time are state, not news (RFC 3339)
    #[arg(long, value_name = "TIME")]
    snapshot_until: Option<Timestamp>,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn record(arguments: &RecordArguments) -> Exit {
    match run(arguments) {
        Ok(Proof::Same) => Exit::Success,
        Ok(Proof::Differs(why)) => {
            let hint = "nothing was written; hint: keep what the rule looks at, such as --keep \
                        label:KEY or --keep word:WORD";
            fail(Exit::Failure, &format!("{why}; {hint}"))
        }
        Err(error) => fail(Exit::CouldNotRun, &error),
    }
}

/// The result of comparing the rules' verdicts on the recording with those on the original.
enum Proof {
    Same,
    Differs(String),
}

fn run(arguments: &RecordArguments) -> Result<Proof, String> {
    let rules =
        arguments.rule.iter().map(|rule| load(rule, arguments.settings.as_ref(), &arguments.cache));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    if arguments.settings.is_some() && rules.len() > 1 {
        return Err(
            "--settings are those of one rule; hint: record for one rule at a time".to_owned()
        );
    }
    // The folder for the unredacted recording is removed when this function returns.
    let raw = tempfile::Builder::new().prefix("klaxon-record-").tempdir();
    let raw = raw.map_err(|error| format!("no temporary folder: {error}"))?;
    let RecordArguments { out, force, .. } = arguments;
    // A recording of a cluster must not be lost, so its destination is checked before it begins.
    let (from, targets) = match arguments.from.as_slice() {
        [] => {
            is_free(out, *force, arguments.live.kinds.len())?;
            let from = live(arguments, &rules, raw.path())?;
            let from = super::streams(&from, arguments.snapshot_until)?;
            let targets = targets(&from, out)?;
            (from, targets)
        }
        from => {
            let from = super::streams(from, arguments.snapshot_until)?;
            several(from.len(), out)?;
            let targets = targets(&from, out)?;
            if let Some(target) = targets.iter().find(|target| !force && target.exists()) {
                return Err(exists(target));
            }
            (from, targets)
        }
    };
    // Written beside the target, and renamed only when everything is verified.
    let parts: Vec<PathBuf> = targets.iter().map(|path| part(path)).collect();
    let proof = attempts(arguments, &rules, &from, &parts);
    for (part, target) in parts.iter().zip(&targets) {
        match &proof {
            Ok((Proof::Same, _)) => std::fs::rename(part, target)
                .map_err(|error| format!("{}: {error}", target.display()))?,
            // The part may not exist yet.
            _ => drop(std::fs::remove_file(part)),
        }
    }
    let (proof, told) = proof?;
    if matches!(proof, Proof::Same) {
        for (target, Recorded { lines, left_out }) in targets.iter().zip(told) {
            let marks = match left_out {
                0 => String::new(),
                number => format!(" ({number} marks left out)"),
            };
            eprintln!("{}: {lines} lines{marks}", target.display());
        }
    }
    Ok(proof)
}

fn live(
    arguments: &RecordArguments,
    rules: &[RuleUnderTest],
    folder: &Path,
) -> Result<Vec<PathBuf>, String> {
    let recorded = arguments.live.capture(rules, folder)?;
    if recorded.is_empty() {
        return Err("nothing came: no recording was written".to_owned());
    }
    Ok(recorded)
}

/// Returns the temporary name of a target, such as `.part.pods.jsonl.zst`: its ending selects the compression.
fn part(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".part.{name}"))
}

/// Redacts as much as possible first. If a rule's verdicts then differ, repeats it with the values of labels retained
/// that the rule's module contains: the rule may compare with some of them.
fn attempts(
    arguments: &RecordArguments,
    rules: &[RuleUnderTest],
    from: &[StreamFile],
    parts: &[PathBuf],
) -> Result<(Proof, Vec<Recorded>), String> {
    let key = key(arguments.key.as_deref())?;
    let attempt = |literal_values| {
        let redactor = redactor(arguments, &key, literal_values, rules, from)?;
        let told = write_all(redactor.as_ref(), from, parts)?;
        Ok((prove(rules, from, parts), told))
    };
    match attempt(false)? {
        (Proof::Differs(_), _) if !arguments.no_redact => attempt(true),
        done => Ok(done),
    }
}

fn write_all(
    redactor: Option<&Redactor>,
    from: &[StreamFile],
    parts: &[PathBuf],
) -> Result<Vec<Recorded>, String> {
    let pairs = from.iter().zip(parts);
    let written = pairs.map(|(from, path)| {
        let mut to = create(path)?;
        let recorded = copy(from, redactor, &mut to).map_err(|error| error.to_string())?;
        to.finish().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(recorded)
    });
    written.collect()
}

fn prove(rules: &[RuleUnderTest], from: &[StreamFile], parts: &[PathBuf]) -> Proof {
    let mut told = Vec::new();
    for rule in rules {
        let after = parts.iter().map(|path| StreamFile::at(path.clone())).collect();
        match says_the_same(rule, from.to_vec(), after) {
            Ok(codes) => told.push((rule.manifest().name.clone(), codes)),
            Err(why) => return Proof::Differs(why),
        }
    }
    for (name, codes) in told {
        eprintln!("rule {name} says the same {codes} codes as before");
    }
    Proof::Same
}

/// Rejects the name of a stream as the folder of several.
fn several(streams: usize, out: &Path) -> Result<(), String> {
    let end = out.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if streams < 2 || is_folder(out) || !["json", "jsonl", "gz", "zst"].contains(&end) {
        return Ok(());
    }
    Err(format!(
        "-o {}: {streams} streams are written to a folder, and this is the name of a file; hint: name a folder, such as -o recorded/",
        out.display()
    ))
}

/// Checks the destination of a recording of a cluster, whose files are known only at its end.
fn is_free(out: &Path, force: bool, kinds: usize) -> Result<(), String> {
    several(kinds, out)?;
    if force {
        return Ok(());
    }
    if out.is_file() {
        return Err(exists(out));
    }
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let mut files = entries.flatten().map(|entry| entry.path());
    let stream = files.find(|path| path.extension().is_some_and(|end| end == "jsonl"));
    stream.map_or(Ok(()), |stream| {
        Err(format!(
            "-o {}: there are streams already, such as {}; hint: name another folder, or replace those of the same name with --force",
            out.display(),
            stream.display()
        ))
    })
}

fn exists(path: &Path) -> String {
    format!(
        "{}: it is there already; hint: name another -o, or replace it with --force",
        path.display()
    )
}

fn is_folder(out: &Path) -> bool {
    out.is_dir() || out.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Returns the files to write: one stream goes to a file, several to files with their names in a folder.
fn targets(from: &[StreamFile], out: &Path) -> Result<Vec<PathBuf>, String> {
    if out == Path::new("-") {
        return Err("-o -: a recording is proven before it is shown; hint: name a file".to_owned());
    }
    let paths: Vec<PathBuf> = if let [_] = from
        && !is_folder(out)
    {
        vec![out.to_owned()]
    } else {
        std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
        from.iter().map(|one| out.join(one.path.file_name().unwrap_or_default())).collect()
    };
    for (place, path) in paths.iter().enumerate() {
        if paths.iter().take(place).any(|before| before == path) {
            return Err(format!(
                "two streams would be written to {}; hint: record them one by one, with the same --key",
                path.display()
            ));
        }
        let canonical = |path: &Path| std::fs::canonicalize(path).ok();
        let target = canonical(path);
        if target.is_some() && from.iter().any(|one| canonical(&one.path) == target) {
            return Err(format!(
                "{} would be overwritten while it is read; hint: name another -o",
                path.display()
            ));
        }
    }
    Ok(paths)
}

fn redactor(
    arguments: &RecordArguments,
    key: &[u8; 32],
    literal_values: bool,
    rules: &[RuleUnderTest],
    from: &[StreamFile],
) -> Result<Option<Redactor>, String> {
    if arguments.no_redact {
        return Ok(None);
    }
    let mut keep = Keep { literal_values, ..Keep::default() };
    rules.iter().for_each(|rule| keep_for(rule, &mut keep));
    for what in &arguments.keep {
        add(what, &mut keep)?;
    }
    let mut redactor = Redactor::new(key, keep);
    for stream in from {
        learn(stream, &mut redactor).map_err(|error| error.to_string())?;
    }
    Ok(Some(redactor))
}

fn add(what: &str, keep: &mut Keep) -> Result<(), String> {
    match what.split_once(':') {
        Some(("label", key)) => drop(keep.labels.insert(key.to_owned(), Values::All)),
        Some(("annotation", key)) => drop(keep.annotations.insert(key.to_owned())),
        Some(("name", name)) => drop(keep.names.insert(name.to_owned())),
        Some(("word", word)) => drop(keep.words.insert(word.to_owned())),
        Some(("field", path)) => {
            let no_path = || format!("--keep {what}: {path:?} is no path such as $.spec.replicas");
            keep.fields.push(field(path).ok_or_else(no_path)?);
        }
        _ => {
            return Err(format!(
                "--keep {what:?} is of no kind; hint: write label:KEY, annotation:KEY, name:NAME, word:WORD \
                 or field:JSONPATH"
            ));
        }
    }
    Ok(())
}

/// The minimum size of a key, in bytes, so that it cannot be guessed.
const LEAST_KEY: usize = 16;

fn key(path: Option<&Path>) -> Result<[u8; 32], String> {
    let Some(path) = path else {
        let mut key = [0; 32];
        let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
        return random.map(|()| key).map_err(|error| format!("no random key: {error}"));
    };
    let bytes =
        std::fs::read(path).map_err(|error| format!("--key {}: {error}", path.display()))?;
    if bytes.trim_ascii().len() < LEAST_KEY {
        return Err(format!(
            "--key {}: that is less than {LEAST_KEY} bytes; hint: head -c 32 /dev/urandom > {}",
            path.display(),
            path.display()
        ));
    }
    Ok(*blake3::hash(bytes.trim_ascii()).as_bytes())
}

/// An output file that may be compressed.
enum Target {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

fn create(path: &Path) -> Result<Target, String> {
    let fail = |error: std::io::Error| format!("{}: {error}; hint: check -o", path.display());
    let file = BufWriter::new(File::create(path).map_err(fail)?);
    Ok(match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => {
            Target::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::best()))
        }
        Some("zst") => Target::Zstd(zstd::Encoder::new(file, 19).map_err(fail)?),
        _ => Target::Plain(file),
    })
}

impl Target {
    fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Gzip(file) => file.finish()?.flush(),
            Self::Zstd(file) => file.finish()?.flush(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
            Self::Zstd(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
            Self::Zstd(file) => file.flush(),
        }
    }
}
