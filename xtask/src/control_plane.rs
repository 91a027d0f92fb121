//! The control plane of the end-to-end tests: its programs, built once from Go modules.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tools;
use crate::workspace::{root, run_command};

/// Folder of the Go modules that pin the programs.
const MODULE: &str = "tests/control-plane";
/// Files that pin most programs; a change of any of them rebuilds all.
const PINS: [&str; 6] =
    ["go.mod", "go.sum", "tools.go", "kwok/go.mod", "kwok/go.sum", "kwok/tools.go"];
/// Each program with its package. The largest comes first, because it compiles most of the code that the
/// others share.
const PROGRAMS: [(&str, &str); 9] = [
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
    ("etcdutl", "go.etcd.io/etcd/etcdutl/v3"),
    ("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    (NATS, "github.com/nats-io/nats-server/v2"),
];
/// Not part of a control plane: rebuilt separately, if its own pins change.
const NATS: &str = "nats-server";
const NATS_PINS: [&str; 3] = ["nats/go.mod", "nats/go.sum", "nats/tools.go"];
/// Packages that contain a program's version; without a stamp, clients cannot parse it.
const STAMPED: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// Returns the folder of the programs. Missing ones are built first, which takes some minutes once.
pub(crate) fn build() -> Result<PathBuf> {
    let home = std::env::var_os("HOME")
        .context("HOME is not set, so there is no place for what is built; hint: set it")?;
    let all = PathBuf::from(home).join(".cache/klaxon/control-plane");
    let ours = all.join(fingerprint(&PINS)?);
    let bin = ours.join("bin");
    let (stamp, nats) = (bin.join(".nats-server.pins"), fingerprint(&NATS_PINS)?);
    let is_there = |name: &str| {
        let is_current = || fs::read_to_string(&stamp).is_ok_and(|built| built == nats);
        bin.join(name).exists() && (name != NATS || is_current())
    };
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|(name, _)| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok(bin);
    }
    need_go()?;
    fs::create_dir_all(&bin).with_context(|| bin.display().to_string())?;
    eprintln!("building {} programs of a control plane, into {}", missing.len(), bin.display());
    let flags = link_flags()?;
    for (name, package) in missing {
        build_one(&bin, name, package, &flags)?;
    }
    fs::write(&stamp, nats).with_context(|| stamp.display().to_string())?;
    remove_others(&all, &ours);
    Ok(bin)
}

/// Returns 16 hexadecimal digits that identify all pins.
fn fingerprint(pins: &[&str]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for name in pins {
        let path = root().join(MODULE).join(name);
        let content = fs::read(&path).with_context(|| path.display().to_string())?;
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Checks that Go is installed. KWOK's module requires the newest Go version, so that one counts.
fn need_go() -> Result<()> {
    // Debian's version may be older; from 1.21 on, Go fetches the version that go.mod requires.
    if tools::install("go", "version", &["golang-go"]) {
        return Ok(());
    }
    let path = root().join(MODULE).join("kwok/go.mod");
    let wanted = word_after(&path, "go")?;
    bail!(
        "go, which builds the control plane of the tests, is missing; hint: install Go {wanted} or \
         newer from https://go.dev/dl, or on Debian golang-go from backports when it is as new"
    );
}

/// Returns linker flags that strip symbols and stamp the version that go.mod pins.
fn link_flags() -> Result<String> {
    let version = word_after(&root().join(MODULE).join("go.mod"), "k8s.io/kubernetes")?;
    let numbers: Vec<&str> = version.trim_start_matches('v').split('.').collect();
    let [major, minor, _] = numbers.as_slice() else {
        bail!("{MODULE}/go.mod: version {version} of k8s.io/kubernetes is not v1.2.3");
    };
    let stamps = [
        ("gitVersion", version.as_str()),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
        ("gitCommit", "module"),
        ("buildDate", "1970-01-01T00:00:00Z"),
    ];
    let mut flags = "-s -w".to_owned();
    for package in STAMPED {
        for (name, value) in stamps {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    Ok(flags)
}

/// Returns the second word of the line of a go.mod that begins with a word.
fn word_after(path: &Path, first: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut lines = text.lines().map(|line| line.split_whitespace());
    let word =
        lines.find_map(|mut words| if words.next() == Some(first) { words.next() } else { None });
    word.map(str::to_owned).with_context(|| {
        format!("{}: no line `{first} <version>`; hint: go mod tidy", path.display())
    })
}

/// Builds to a temporary name and renames, so that an interrupted build leaves no program.
#[expect(clippy::disallowed_methods, reason = "a person is told how long it took")]
fn build_one(bin: &Path, name: &str, package: &str, flags: &str) -> Result<()> {
    let mut module = root().join(MODULE);
    // These have their own modules: in a common one they would get other versions of dependencies.
    match name {
        "kwok" => module.push("kwok"),
        NATS => module.push("nats"),
        _ => {}
    }
    let unfinished = bin.join(format!(".{name}.{}", std::process::id()));
    let started = Instant::now();
    let mut go = Command::new("go");
    go.arg("build").arg("-C").arg(&module).args(["-trimpath", "-ldflags", flags, "-o"]);
    go.arg(&unfinished).arg(package);
    go.env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false -mod=readonly").env("GOWORK", "off");
    run_command(&mut go)
        .with_context(|| format!("{name} of the control plane was not built (go says why)"))?;
    let program = bin.join(name);
    fs::rename(&unfinished, &program).with_context(|| program.display().to_string())?;
    eprintln!("{name}: {} s", started.elapsed().as_secs());
    Ok(())
}

/// Removes other builds, half a gigabyte each, which are not used again. A running program keeps its open
/// file.
fn remove_others(all: &Path, ours: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path != ours) {
        if let Err(error) = fs::remove_dir_all(&path) {
            eprintln!("{}: not removed ({error})", path.display());
        }
    }
}
