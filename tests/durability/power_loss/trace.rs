//! The system calls of the service that change a folder, sync it, or send data, as strace recorded them.

use std::collections::HashMap;
use std::path::Path;

/// The calls that are recorded. SQLite uses no other call that could change a file.
pub(super) const CALLS: &str = "trace=open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,\
    ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,\
    unlink,unlinkat,mkdir,mkdirat,copy_file_range,sendfile,sendto,sendmsg,sendmmsg";

/// The shared memory of SQLite, which it recreates and which need not survive on disk.
const SHARED_MEMORY: &str = "klaxon.db-shm";

/// A system call. Moments are line numbers of the trace.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Start of the call: from then on it may have had its effect.
    pub(super) begun: usize,
    /// Return of the call.
    pub(super) ended: usize,
    pub(super) deed: Deed,
}

/// The effect of a call. Names are those of files in the folder.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    MakeFolder,
    /// The parent of the folder was synced.
    SyncParent,
    SyncFolder,
    Create(String),
    Remove(String),
    Write {
        name: String,
        offset: usize,
        data: Vec<u8>,
    },
    Resize {
        name: String,
        length: usize,
    },
    Sync(String),
    /// Data was sent over the network.
    Send(Vec<u8>),
}

impl Deed {
    /// Returns `true` if a call that never returned had its effect, judged by the folder right after the end of its
    /// process. A sync leaves no sign there, so unreturned syncs do not count; sent data may have arrived.
    fn is_done(&self, folder: &Path) -> bool {
        let content = |name: &str| std::fs::read(folder.join(name));
        match self {
            Self::Create(name) => content(name).is_ok(),
            Self::Remove(name) => content(name).is_err(),
            Self::Resize { name, length } => content(name).is_ok_and(|all| all.len() == *length),
            Self::Write { name, offset, data } => {
                let is_it = |all: Vec<u8>| all.get(*offset..*offset + data.len()) == Some(data);
                content(name).is_ok_and(is_it)
            }
            Self::MakeFolder | Self::Send(_) => true,
            Self::SyncParent | Self::SyncFolder | Self::Sync(_) => false,
        }
    }
}

/// All calls, in the order in which they began.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    pub(super) calls: Vec<Call>,
    /// The moments at which a run of the service ended.
    pub(super) ends: Vec<usize>,
    lines: usize,
}

impl Trace {
    /// Appends the trace of one run of the service on a folder, after those of the earlier runs.
    pub(super) fn read_on(&mut self, trace: &Path, folder: &Path) {
        let bytes = std::fs::read(trace).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
        let mut calls = Vec::new();
        for line in text.lines() {
            self.lines += 1;
            let at = self.lines;
            let (thread, call) = line.split_once(' ').unwrap_or(("", line));
            let call = call.trim_start();
            if let Some(first) = call.strip_suffix("<unfinished ...>") {
                begun.insert(thread, (at, first.trim_end()));
            } else if call.starts_with("<... ") {
                let (_, rest) = call.split_once("resumed>").expect("a call that goes on");
                let (from, first) = begun.remove(thread).expect("a call that had begun");
                calls.push((from, at, format!("{first}{rest}")));
            } else {
                calls.push((at, at, call.to_owned()));
            }
        }
        let calls = calls.into_iter().filter_map(|(begun, ended, call)| {
            Some(Call { begun, ended, deed: deed(&call, folder)? })
        });
        self.calls.extend(calls);
        // A killed process has calls that never returned.
        self.lines += 1;
        for (from, first) in begun.into_values() {
            if let Some(deed) = deed(&format!("{first}) = {}", i32::MAX), folder)
                && deed.is_done(folder)
            {
                self.calls.push(Call { begun: from, ended: self.lines, deed });
            }
        }
        self.calls.sort_by_key(|call| call.begun);
        self.lines += 1;
        self.ends.push(self.lines);
    }

    /// The last moment.
    pub(super) fn end(&self) -> usize {
        self.lines
    }
}

/// Returns the effect of a call on the folder or the network, or `None` if it has none.
fn deed(call: &str, folder: &Path) -> Option<Deed> {
    let (name, rest) = call.split_once('(')?;
    if !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return None;
    }
    // strace aligns the results of the calls.
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let result: i64 =
        result.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()?;
    if result < 0 {
        return None;
    }
    if name.starts_with("send") || arguments.contains("<TCP:") || arguments.contains("<socket:") {
        return Some(Deed::Send(strings(arguments).concat()));
    }
    let path = match arguments.split_once('<') {
        // The path of a descriptor, except for the base of a relative path.
        Some((descriptor, rest)) if !descriptor.contains('"') && descriptor != "AT_FDCWD" => {
            decoded(rest.split('>').next()?)?
        }
        _ => strings(arguments).into_iter().next()?,
    };
    let path = String::from_utf8(path).ok()?;
    let path = Path::new(&path);
    if path == folder {
        return match name {
            "mkdir" | "mkdirat" => Some(Deed::MakeFolder),
            "fsync" | "fdatasync" => Some(Deed::SyncFolder),
            _ => None,
        };
    }
    if Some(path) == folder.parent() {
        return name.ends_with("sync").then_some(Deed::SyncParent);
    }
    let file = path.strip_prefix(folder).ok()?.to_str()?.to_owned();
    if file == SHARED_MEMORY || arguments.contains("(deleted)") {
        return None;
    }
    let number = |from_end: usize| -> usize {
        arguments.rsplit(", ").nth(from_end).unwrap().parse().expect("a number")
    };
    match name {
        "open" | "openat" if arguments.contains("O_TRUNC") => panic!("not modelled: {call}"),
        "open" | "openat" => arguments.contains("O_CREAT").then_some(Deed::Create(file)),
        "fsync" | "fdatasync" => Some(Deed::Sync(file)),
        "unlink" => Some(Deed::Remove(file)),
        "ftruncate" => Some(Deed::Resize { name: file, length: number(0) }),
        "pwrite64" => {
            let mut data = strings(arguments).concat();
            assert_eq!(data.len(), number(1), "the trace has the data whole");
            data.truncate(usize::try_from(result).unwrap());
            Some(Deed::Write { name: file, offset: number(0), data })
        }
        _ => panic!("not modelled: {}", call.get(..200).unwrap_or(call)),
    }
}

/// Returns every string among the arguments; `strace -xx` writes each of its bytes as `\x41`.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let strings = arguments.split('"').skip(1).step_by(2);
    strings.map(|text| decoded(text).expect("a string that -xx wrote")).collect()
}

/// Decodes a path. `None` for other text, such as `pipe:[7]`.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (bytes, rest) = text.as_bytes().as_chunks::<4>();
    let byte = |[slash, x, high, low]: &[u8; 4]| {
        ([*slash, *x] == *b"\\x").then_some(digit(*high)? << 4 | digit(*low)?)
    };
    rest.is_empty().then(|| bytes.iter().map(byte).collect())?
}

#[test]
fn a_trace_is_read_with_calls_that_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let hex = |text: &str| text.bytes().map(|c| format!("\\x{c:02x}")).collect::<String>();
    let (file, other, words) = (hex("/j/klaxon.db"), hex("/k/klaxon.db"), hex("words"));
    let lines = [
        format!(r#"7 pwrite64(5<{file}>, "{words}", 5, 32 <unfinished ...>"#),
        format!(r#"8   fdatasync(5<{file}>) = 0"#),
        r"7 <... pwrite64 resumed>)    = 3".to_owned(),
        format!(r#"7 pwrite64(6<{other}>, "{words}", 5, 32) = 5"#),
        format!(r#"7 pwrite64(5<{file}>(deleted), "{words}", 5, 32) = 5"#),
        r#"7 write(2<pipe:[77]>, "", 0) = 0"#.to_owned(),
        format!(r#"7 unlink("{file}") = -1 ENOENT (No such file or directory)"#),
        format!(r#"7 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "{words}", 5, 0, NULL, 0) = 5"#),
        "7 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---".to_owned(),
        "7 +++ exited with 0 +++".to_owned(),
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut trace = Trace::default();
    trace.read_on(&path, Path::new("/j"));
    let calls: Vec<String> = trace.calls.iter().map(|call| format!("{call:?}")).collect();
    assert_eq!(
        calls,
        [
            "Call { begun: 1, ended: 3, deed: Write { name: \"klaxon.db\", offset: 32, data: [119, 111, 114] } }",
            "Call { begun: 2, ended: 2, deed: Sync(\"klaxon.db\") }",
            "Call { begun: 8, ended: 8, deed: Send([119, 111, 114, 100, 115]) }",
        ]
    );
}
