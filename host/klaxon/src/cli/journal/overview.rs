//! `klaxon journal ls` without arguments: counts of everything that is stored.

use std::path::Path;

use super::cells::Cells;
use super::table::{age, size, table};
use klaxon_journal::inspect::{ByRule, Overview, OverviewTarget, WatchRow};
use klaxon_model::Timestamp;
use klaxon_model::plain;

pub(super) fn text(overview: &Overview, path: &Path, now: Timestamp) -> String {
    let mut text = summary(overview, path);
    let mut add = |title: &str, table: String| {
        text.push_str(&format!("\n{title}\n{table}"));
    };
    if !overview.targets.is_empty() {
        let rows: Vec<Vec<String>> =
            overview.targets.iter().map(|target| delivered(target, now)).collect();
        let heads =
            ["TARGET", "PENDING", "SIZE", "OLDEST", "SENT", "DEAD", "SUPERSEDED", "DISABLED"];
        add("deliveries", table(&heads, &rows));
    }
    if !overview.dead.is_empty() {
        let rows = overview.dead.iter().map(|one| {
            let last = one.last.map_or_else(|| "-".to_owned(), |last| last.to_string());
            vec![one.target.clone(), one.count.to_string(), last, one.reason.clone()]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        add("dead letters", table(&["TARGET", "COUNT", "LAST", "REASON"], &rows));
    }
    if !overview.watches.is_empty() {
        let rows: Vec<Vec<String>> = overview.watches.iter().map(WatchRow::cells).collect();
        add("watches", table(WatchRow::HEADS, &rows));
    }
    text
}

fn summary(overview: &Overview, path: &Path) -> String {
    let files = overview.files;
    let refusals = match overview.refusals_marked {
        0 => overview.refusals.to_string(),
        marked => format!("{} ({marked} of them are to be tried again)", overview.refusals),
    };
    let lines = [
        (
            "journal",
            format!(
                "{}: {}, and {} of log (schema {})",
                path.display(),
                size(files.database),
                size(files.log),
                overview.version
            ),
        ),
        ("verdicts", overview.verdicts.to_string()),
        ("refusals", refusals),
        ("gaps", overview.gaps.to_string()),
        ("quarantine", by_rule(&overview.quarantine, "since")),
        ("backlog", by_rule(&overview.backlog, "since")),
        ("timers", by_rule(&overview.timers, "the next at")),
        ("state", by_rule(&overview.state, "")),
    ];
    lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect()
}

/// Formats counts by rule: `3: oom 2 since …, unreadable 1 since …`.
fn by_rule(counts: &[ByRule], first: &str) -> String {
    let all: u64 = counts.iter().map(|one| one.count).sum();
    let each = counts.iter().map(|one| {
        let rule = one.rule.as_deref().unwrap_or("unreadable");
        let first = one.first.map_or_else(String::new, |time| format!(" {first} {time}"));
        format!("{} {}{first}", plain(rule), one.count)
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "0".to_owned() } else { format!("{all}: {}", each.join(", ")) }
}

fn delivered(target: &OverviewTarget, now: Timestamp) -> Vec<String> {
    let disabled = match (target.disabled_at, &target.disabled_reason) {
        (Some(at), reason) => format!("since {at}: {}", reason.as_deref().unwrap_or_default()),
        (None, _) => String::new(),
    };
    vec![
        target.name.clone(),
        target.pending.to_string(),
        size(target.pending_bytes),
        target.oldest_pending.map_or_else(|| "-".to_owned(), |oldest| age(oldest, now)),
        target.sent.to_string(),
        target.dead.to_string(),
        target.superseded.to_string(),
        disabled,
    ]
}
