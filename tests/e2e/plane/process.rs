//! One program of the control plane as a child process, with its log.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Lines of a log that are shown.
const TAIL_LINES: usize = 30;
const PAUSE: Duration = Duration::from_millis(20);
/// Number of pauses before a process is killed: 20 seconds in all.
const PAUSES_UNTIL_KILLED: u32 = 1000;

/// A process that can be started repeatedly with the same command line.
pub(super) struct Process {
    command: Command,
    child: Option<Child>,
    log: PathBuf,
    /// Offset in the log at which the present run begins.
    run_begins: usize,
}

impl Process {
    /// Describes a process without starting it.
    pub(super) fn new(command: Command, log: PathBuf) -> Process {
        Process { command, child: None, log, run_begins: 0 }
    }

    pub(super) fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.unwrap_or_else(|fault| panic!("{}: {fault}", self.log.display()));
        self.run_begins = log.metadata().map_or(0, |data| data.len() as usize);
        let second = log.try_clone().expect("a file can be shared");
        self.command.stdin(Stdio::null()).stdout(log).stderr(second);
        let child = self.command.spawn();
        self.child = Some(child.unwrap_or_else(|fault| {
            panic!("cannot run {:?}: {fault}; hint: cargo xtask e2e", self.command.get_program())
        }));
    }

    /// Returns the exit status of a process that ended by itself.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        child.try_wait().expect("a child can be asked")
    }

    /// Kills the process and waits for it: before the wait it is a zombie, and its port may still be bound.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    pub(super) fn terminate(&mut self) {
        if self.ended().is_none()
            && let Some(child) = &self.child
        {
            kill_process(Pid::from_child(child), Signal::TERM).expect("a child can be stopped");
        }
        for _ in 0..PAUSES_UNTIL_KILLED {
            if self.child.is_none() || self.ended().is_some() {
                break;
            }
            sleep(PAUSE);
        }
        self.kill();
    }

    /// Returns the last lines of the present run.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let run = String::from_utf8_lossy(log.get(self.run_begins..).unwrap_or_default());
        let lines: Vec<&str> = run.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
