//! The table of behaviours of the greedy rule, and their bounds.

use serde_json::{Value, json};

use super::trial::Measured;

const MIB: u64 = 1 << 20;

/// A behaviour of the greedy rule on every event, and its bounds.
pub(super) struct Behaviour {
    pub(super) name: &'static str,
    pub(super) module: &'static str,
    /// Settings of the rule.
    pub(super) settings: Value,
    /// Names of the rule's targets.
    pub(super) targets: Vec<&'static str>,
    /// Number of versions of a 1.5 MB object that come among the pods.
    pub(super) large_objects: usize,
    pub(super) bounds: Bounds,
}

/// Bounds of the cost of a behaviour beyond the run in which the rule takes nothing.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes of resident memory.
    pub(super) memory: u64,
    /// CPU time of the threads that do not run rules, as a multiple of the baseline's.
    pub(super) cpu_times: u64,
    /// Bytes of the log.
    pub(super) log: u64,
    /// Bytes of the journal.
    pub(super) journal: u64,
    /// Rows of the journal.
    pub(super) rows: u64,
    /// The neighbour's delay at the 99th percentile of its verdicts, as a multiple of the baseline's.
    pub(super) delay_times: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory: 192 * MIB,
            cpu_times: 6,
            log: MIB,
            journal: 32 * MIB,
            rows: 5_000,
            delay_times: 10,
        }
    }
}

/// The least CPU time and delay, in milliseconds, of which multiples are taken. Scheduler noise dominates below it.
pub(super) const LEAST_MS: u64 = 500;

impl Bounds {
    /// Describes each bound that a run exceeds.
    pub(super) fn exceeded(self, name: &str, run: &Measured, baseline: &Measured) -> Vec<String> {
        let added = |now: u64, before: u64| now.saturating_sub(before);
        let times = |before: u64, times: u64| before.max(LEAST_MS) * times;
        let checks = [
            ("bytes of memory", added(run.memory, baseline.memory), self.memory),
            ("ms of CPU outside of rules", run.cpu_ms, times(baseline.cpu_ms, self.cpu_times)),
            ("bytes of log", added(run.log, baseline.log), self.log),
            ("bytes of journal", added(run.journal, baseline.journal), self.journal),
            ("rows of journal", added(run.rows, baseline.rows), self.rows),
            ("ms of delay", run.delay_ms, times(baseline.delay_ms, self.delay_times)),
        ];
        let over = checks.into_iter().filter(|(_, now, most)| now > most);
        over.map(|(what, now, most)| format!("{name}: {now} {what}, at most {most}")).collect()
    }
}

/// The behaviour that takes nothing.
pub(super) fn nothing() -> Behaviour {
    behaviour("nothing", json!({"take": "nothing"}))
}

fn behaviour(name: &'static str, settings: Value) -> Behaviour {
    Behaviour {
        name,
        module: "greedy",
        settings,
        targets: vec!["first"],
        large_objects: 0,
        bounds: Bounds::default(),
    }
}

/// All behaviours of the table.
pub(super) fn behaviours() -> Vec<Behaviour> {
    let all = Bounds::default();
    vec![
        // The limit is 1 MiB a minute, and the run may see two minutes.
        Behaviour {
            bounds: Bounds { log: 3 * MIB, ..all },
            ..behaviour("log lines", json!({"take": "log-lines", "count": 32, "bytes": 4 << 20}))
        },
        behaviour("errors", json!({"take": "errors", "bytes": 7 << 20})),
        Behaviour {
            bounds: Bounds { memory: 320 * MIB, journal: 192 * MIB, ..all },
            ..behaviour("state", json!({"take": "state", "bytes": 1_000_000}))
        },
        Behaviour {
            bounds: Bounds { memory: 320 * MIB, journal: 192 * MIB, rows: 110_000, ..all },
            ..behaviour("timers", json!({"take": "timers", "count": 100, "bytes": 10_000}))
        },
        // The disk is shared: its other users wait for the 128 MiB that a rule may write in a minute.
        Behaviour {
            targets: vec!["first", "second", "third"],
            bounds: Bounds { memory: 320 * MIB, journal: 320 * MIB, delay_times: 60, ..all },
            ..behaviour("payloads", json!({"take": "payloads", "bytes": 1_000_000}))
        },
        behaviour("verdicts", json!({"take": "verdicts", "count": 80_000})),
        Behaviour {
            bounds: Bounds { rows: 60_000, ..all },
            ..behaviour("extension kinds", json!({"take": "extension-kinds", "count": 50}))
        },
        behaviour("foreign target", json!({"take": "foreign-target"})),
        Behaviour {
            module: "paths",
            large_objects: 100,
            // A round holds 16 MiB of objects as JSON, which take about fifteen times as much memory when decoded.
            bounds: Bounds {
                memory: 640 * MIB,
                journal: 96 * MIB,
                cpu_times: 60,
                delay_times: 40,
                ..all
            },
            ..behaviour("paths", json!({}))
        },
        behaviour("traps", json!({"take": "traps"})),
        behaviour("time", json!({"take": "time", "count": 10_000})),
    ]
}
