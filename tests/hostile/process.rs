//! Reads kernel statistics of a process and its threads.

use std::fs;
use std::path::{Path, PathBuf};

/// Clock ticks per second in `/proc`, which Linux fixes for user space.
const TICKS: u64 = 100;

/// A running process.
pub(super) struct Process {
    folder: PathBuf,
}

impl Process {
    pub(super) fn of(pid: u32) -> Self {
        Self { folder: Path::new("/proc").join(pid.to_string()) }
    }

    /// Returns the peak resident memory in bytes (`VmHWM`, proc(5)).
    pub(super) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(self.folder.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }

    /// Returns the CPU time in milliseconds of the threads with an accepted name.
    pub(super) fn cpu_ms(&self, is_counted: impl Fn(&str) -> bool) -> u64 {
        let tasks = fs::read_dir(self.folder.join("task")).unwrap();
        let ticks = tasks.flatten().filter_map(|task| {
            // A thread may end between the listing and the read.
            let stat = fs::read_to_string(task.path().join("stat")).ok()?;
            let (head, rest) = stat.rsplit_once(')')?;
            let (_, name) = head.split_once('(')?;
            if !is_counted(name) {
                return None;
            }
            // After the name: state is field 3, utime 14 and stime 15.
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
            Some(field(14)? + field(15)?)
        });
        ticks.sum::<u64>() * 1000 / TICKS
    }
}
