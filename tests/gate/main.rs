//! Tests of `klaxon-gate`, over HTTP and through its file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use tempfile::TempDir;

const UP: &str = "app is up";
const DOWN: &str = "app is down";

/// A running gate. It is killed when dropped.
struct Gate {
    folder: TempDir,
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klaxon-gate"));
    command.env_remove("UP_FILE").env_remove("UP_PORT").env_remove("KLAXON_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Gate {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command();
        command.env("UP_FILE", folder.path().join("up.txt")).env("UP_PORT", "0").args(arguments);
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.split("address=").nth(1).unwrap_or_else(|| panic!("{line}"));
        let address: SocketAddr = address.split_whitespace().next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        Self { folder, child, log, address }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("up.txt")
    }

    /// Sends a request as it is written, and returns status and body.
    fn ask(&self, method: &str, target: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "{method} {target} HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    fn get(&self, target: &str) -> (u16, String) {
        self.ask("GET", target)
    }

    fn stop(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
        self.child.wait().unwrap()
    }
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

#[test]
fn up_and_down_open_and_close_the_gate() {
    let gate = Gate::start(&[]);
    assert_eq!(gate.get("/health"), answer(503, DOWN));
    assert_eq!(gate.get("/down"), answer(200, DOWN), "as appup answers where no file is");
    assert_eq!(gate.get("/up"), answer(200, UP));
    assert!(gate.file().exists());
    assert_eq!(gate.get("/health"), answer(200, UP));
    assert_eq!(gate.get("/up"), answer(200, UP));
    assert_eq!(gate.get("/down"), answer(200, DOWN));
    assert!(!gate.file().exists());
    assert_eq!(gate.get("/health"), answer(503, DOWN));
}

#[test]
fn the_answer_follows_the_file_whoever_changes_it() {
    let gate = Gate::start(&[]);
    let shell = |script: &str| {
        let status = Command::new("sh").args(["-c", script]).env("FILE", gate.file()).status();
        assert!(status.unwrap().success());
    };
    shell("touch $FILE");
    assert_eq!(gate.get("/health"), answer(200, UP));
    shell("rm $FILE");
    assert_eq!(gate.get("/health"), answer(503, DOWN));
    assert_eq!(gate.get("/up"), answer(200, UP));
    shell("cat $FILE");
}

#[test]
fn with_the_status_of_the_readme_down_answers_503_if_the_gate_was_closed() {
    let gate = Gate::start(&["--readme-status"]);
    assert_eq!(gate.get("/down"), answer(503, DOWN));
    assert_eq!(gate.get("/up"), answer(200, UP));
    assert_eq!(gate.get("/down"), answer(200, DOWN));
}

#[test]
fn only_exact_paths_and_get_are_answered() {
    let gate = Gate::start(&[]);
    for target in ["/", "/up/", "/UP", "/up?now", "//up", "/health?", "/down/..", "/%75p"] {
        assert_eq!(gate.get(target).0, 404, "{target}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(gate.ask(method, "/up").0, 501, "{method}");
    }
    assert!(!gate.file().exists());
}

#[test]
fn a_file_that_cannot_be_created_is_503_with_the_cause() {
    let gate = Gate::start(&[]);
    fs::remove_dir(gate.folder.path()).unwrap();
    let (status, body) = gate.get("/up");
    assert_eq!(status, 503);
    assert!(body.contains("up.txt: the file cannot be created: No such file"), "{body}");
    assert_eq!(gate.get("/health"), answer(503, DOWN));
    fs::create_dir(gate.folder.path()).unwrap();
    fs::create_dir(gate.file()).unwrap();
    let (status, body) = gate.get("/down");
    assert_eq!(status, 503);
    assert!(body.contains("up.txt: the file cannot be removed: Is a directory"), "{body}");
}

#[test]
fn signals_end_the_gate_with_success_and_leave_the_file() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut gate = Gate::start(&[]);
        gate.get("/up");
        assert_eq!(gate.stop(signal).code(), Some(0));
        assert!(gate.file().exists());
    }
}

#[test]
fn changes_are_logged_once() {
    let mut gate = Gate::start(&[]);
    for target in ["/up", "/up", "/health", "/down", "/down"] {
        gate.get(target);
    }
    gate.stop(rustix::process::Signal::TERM);
    let mut log = String::new();
    gate.log.read_to_string(&mut log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("gate opened") && lines[1].contains("gate closed"), "{log}");
}

#[test]
fn hooks_and_probes_need_neither_a_shell_nor_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let act = |action: &str| {
        let mut command = command();
        command.env("UP_FILE", folder.path().join("up.txt")).arg(action);
        command.status().unwrap().code()
    };
    for (action, code) in [
        ("health", 1),
        ("up", 0),
        ("up", 0),
        ("health", 0),
        ("down", 0),
        ("down", 0),
        ("health", 1),
    ] {
        assert_eq!(act(action), Some(code), "{action}");
    }
    fs::create_dir(folder.path().join("up.txt")).unwrap();
    assert_eq!((act("down"), act("up"), act("other")), (Some(2), Some(2), Some(2)));
}

fn refused(configure: impl FnOnce(&mut Command)) -> String {
    let mut command = command();
    configure(&mut command);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn wrong_settings_are_errors_with_a_hint_before_anything_starts() {
    let error =
        refused(|command| _ = command.env("UP_FILE", "/no/such/up.txt").env("UP_PORT", "0"));
    assert_eq!(
        error,
        "error: gate /no/such/up.txt: the folder /no/such: No such file or directory (os error 2); \
         hint: mount a volume there, or choose another file with UP_FILE\n"
    );
    for port in ["", "http", "65536", "-1", "9999.5"] {
        let error = refused(|command| _ = command.env("UP_PORT", port));
        assert!(error.contains("'--port <PORT>'"), "{port}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("[::]:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let file = folder.path().join("up.txt");
    let error = refused(|command| _ = command.env("UP_FILE", &file).args(["--port", &port]));
    assert!(error.contains(&format!("cannot listen at port {port}: Address already in use")));
    assert!(error.contains("; hint: choose another port with UP_PORT"), "{error}");
    let error = refused(|command| _ = command.args(["--fiel", "x"]));
    assert!(error.contains("a similar argument exists: '--file'"), "{error}");
}

/// Tests the bound that the documentation promises, with the build at hand.
#[test]
fn a_gate_takes_less_than_10_mib_of_memory_after_100_requests() {
    let gate = Gate::start(&[]);
    for number in 0..100 {
        gate.get(["/up", "/health", "/down", "/nowhere"][number % 4]);
    }
    let status =
        fs::read_to_string(Path::new("/proc").join(gate.child.id().to_string()).join("status"));
    let status = status.unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 10 * 1024, "{line}");
}
