//! `klaxon record`.
#![expect(clippy::print_stderr, reason = "it tells what it wrote")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::destination::Destination;
use super::exit::fail;
use super::rule::load;
use super::{CacheArguments, Exit, some};
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
    #[arg(long, value_name = "TIME", value_parser = super::time)]
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
    // A recording of a cluster cannot be repeated, so everything else is checked before it begins.
    let keep = keep(arguments, &rules)?;
    let key = key(arguments.key.as_deref())?;
    // The folder for the unredacted recording is removed when this function returns.
    let raw = tempfile::Builder::new().prefix("klaxon-record-").tempdir();
    let raw = raw.map_err(|error| format!("no temporary folder: {error}"))?;
    let is_live = arguments.from.is_empty();
    let (from, destination) =
        if is_live { live(arguments, &rules, raw.path())? } else { recorded(arguments)? };
    let redaction = (!arguments.no_redact).then_some(Redaction { keep, key });
    let written = write(redaction.as_ref(), &rules, &from, destination);
    written.map_err(|error| {
        if is_live {
            format!("the recording is lost, because it is not kept unredacted: {error}")
        } else {
            error
        }
    })
}

/// Returns recorded streams, and the files to write them to.
fn recorded(arguments: &RecordArguments) -> Result<(Vec<StreamFile>, Destination), String> {
    let from = super::streams(&arguments.from, arguments.snapshot_until)?;
    let paths: Vec<PathBuf> = from.iter().map(|one| one.path.clone()).collect();
    let destination = Destination::prepare(&arguments.out, arguments.force, &paths)?;
    Ok((from, destination))
}

/// Records a cluster into a folder. Returns the streams, and the files to write them to.
fn live(
    arguments: &RecordArguments,
    rules: &[RuleUnderTest],
    folder: &Path,
) -> Result<(Vec<StreamFile>, Destination), String> {
    let RecordArguments { live, out, force, .. } = arguments;
    let needs = live.needs(rules)?;
    let kinds: BTreeSet<&String> = live.kinds.iter().collect();
    Destination::check(out, *force, kinds.len().max(needs.len()))?;
    let mut prepared = None;
    let paths = live.capture(needs, folder, &mut |streams| {
        prepared = Some(Destination::prepare(out, *force, streams)?);
        Ok(())
    })?;
    let nothing = || "nothing came: no recording was written".to_owned();
    let mut destination = prepared.filter(|_| !paths.is_empty()).ok_or_else(nothing)?;
    destination.retain(&paths);
    Ok((super::streams(&paths, arguments.snapshot_until)?, destination))
}

/// Writes the recording, and gives it its name if the rules report the same codes for it.
fn write(
    redaction: Option<&Redaction>,
    rules: &[RuleUnderTest],
    from: &[StreamFile],
    destination: Destination,
) -> Result<Proof, String> {
    let (proof, told) = attempts(redaction, rules, from, &destination.parts())?;
    if matches!(proof, Proof::Same) {
        for (path, Recorded { lines, left_out }) in destination.finish()?.iter().zip(told) {
            let marks = match left_out {
                0 => String::new(),
                number => format!(" ({} left out)", some(number, "mark", "marks")),
            };
            eprintln!("{}: {}{marks}", path.display(), some(lines, "line", "lines"));
        }
    }
    Ok(proof)
}

/// The replacement of private data: the parts to keep readable, and the key of the pseudonyms.
struct Redaction {
    keep: Keep,
    key: [u8; 32],
}

/// Redacts as much as possible first. If a rule's verdicts then differ, repeats it with the values of labels retained
/// that the rule's module contains: the rule may compare with some of them.
fn attempts(
    redaction: Option<&Redaction>,
    rules: &[RuleUnderTest],
    from: &[StreamFile],
    parts: &[PathBuf],
) -> Result<(Proof, Vec<Recorded>), String> {
    let attempt = |literal_values| {
        let redactor = redaction.map(|redaction| redactor(redaction, literal_values, from));
        let told = write_all(redactor.transpose()?.as_ref(), from, parts)?;
        Ok((prove(rules, from, parts), told))
    };
    match attempt(false)? {
        (Proof::Differs(_), _) if redaction.is_some() => attempt(true),
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
        let codes = some(codes as u64, "code", "codes");
        eprintln!("rule {name} says the same {codes} as before");
    }
    Proof::Same
}

fn redactor(
    redaction: &Redaction,
    literal_values: bool,
    from: &[StreamFile],
) -> Result<Redactor, String> {
    let keep = Keep { literal_values, ..redaction.keep.clone() };
    let mut redactor = Redactor::new(&redaction.key, keep);
    for stream in from {
        learn(stream, &mut redactor).map_err(|error| error.to_string())?;
    }
    Ok(redactor)
}

/// Returns what stays readable: what the rules ask for, and what `--keep` names.
fn keep(arguments: &RecordArguments, rules: &[RuleUnderTest]) -> Result<Keep, String> {
    let mut keep = Keep::default();
    rules.iter().for_each(|rule| keep_for(rule, &mut keep));
    for what in &arguments.keep {
        add(what, &mut keep)?;
    }
    Ok(keep)
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
    let file = BufWriter::new(super::destination::create(path)?);
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
