//! Divides the journal's size among the targets' queues, so that their quotas leave space for everything else.

use std::collections::{BTreeMap, BTreeSet};

use bytesize::ByteSize;

use super::validate::Check;
use super::{Config, Rule, Target};
use klaxon_model::Limits;
use klaxon_yaml::escape;

/// The divisor of the reserve: one quarter of the journal is left for state, objects and backlogs.
const RESERVE: u64 = 4;
/// The default quota of a target, if there is space for it, in bytes.
const USUAL: u64 = 256 << 20;
/// The smallest default quota of a target, in bytes.
const LEAST: u64 = 64 << 10;
/// The smallest size of a journal, in bytes. An empty journal has about 150 KiB.
pub(super) const SMALLEST: u64 = 1 << 20;

/// Gives each target without `max_queue` an equal part of the space that the others leave, and checks that all quotas
/// together leave the reserve.
pub(super) fn share(
    check: &mut Check<'_>,
    targets: &mut BTreeMap<String, Target>,
    set: &BTreeSet<String>,
    max_size: u64,
) {
    if max_size < SMALLEST {
        check.say(
            "/journal/max_size",
            format!("{} is too small for a journal; hint: write 1MiB or more", size(max_size)),
        );
        return;
    }
    let most = max_size - max_size / RESERVE;
    let taken: u64 = targets
        .iter()
        .filter(|(name, _)| set.contains(*name))
        .map(|(_, one)| one.max_queue)
        .fold(0, u64::saturating_add);
    let others = targets.len().saturating_sub(set.len()) as u64;
    let needed = taken.saturating_add(others.saturating_mul(LEAST));
    if needed > most {
        let pointer = match set.first() {
            Some(name) if set.len() == 1 => format!("/targets/{}/max_queue", escape(name)),
            _ => "/journal/max_size".to_owned(),
        };
        check.say(
            pointer,
            format!(
                "the targets' queues may take {} in all ({}), and a journal of {} (journal.max_size) has room for {} of queues: a quarter is left for everything else; hint: lower max_queue, or raise journal.max_size to {} or more",
                size(needed),
                named(targets, set, others),
                size(max_size),
                size(most),
                size(needed.saturating_mul(RESERVE).div_ceil(RESERVE - 1)),
            ),
        );
        return;
    }
    let part = (most - taken).checked_div(others).unwrap_or(USUAL).min(USUAL);
    for (name, target) in targets {
        if !set.contains(name) {
            target.max_queue = part;
        }
    }
}

/// Returns a warning if the rules together may store more than the reserve of the journal. When the journal is full
/// of their data, intake waits, since none of that data may be removed.
pub(super) fn rules_beyond_reserve(config: &Config) -> Option<String> {
    let reserve = config.journal.max_size / RESERVE;
    let budget = |rule: &Rule| {
        let Limits { state_total, timers, backlog, .. } = rule.limits;
        [state_total, timers, backlog].iter().map(|part| *part as u64).sum::<u64>()
    };
    let budgets = config.rules.iter().map(budget).fold(0, u64::saturating_add);
    (budgets > reserve).then(|| {
        format!(
            "the state, timers and backlogs of the {} rules may take up to {} in all (before compression), and a journal of {} (journal.max_size) reserves {} for them and for known objects: if they ever need more, intake waits; hint: raise journal.max_size to {}, or lower grants.state_total, limits.timers and limits.backlog of the rules",
            config.rules.len(),
            size(budgets),
            size(config.journal.max_size),
            size(reserve),
            size(budgets.saturating_mul(RESERVE)),
        )
    })
}

fn named(targets: &BTreeMap<String, Target>, set: &BTreeSet<String>, others: u64) -> String {
    let mut parts: Vec<String> = targets
        .iter()
        .filter(|(name, _)| set.contains(*name))
        .map(|(name, target)| format!("{name} {}", size(target.max_queue)))
        .collect();
    if others > 0 {
        parts.push(format!("{others} without max_queue, {} each at least", size(LEAST)));
    }
    parts.join(", ")
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use klaxon_yaml::Found;

    const MIB: u64 = 1 << 20;

    /// Returns the quotas of targets with `max_queue` and of others without, or the errors.
    fn shared(set: &[u64], others: usize, max_size: u64) -> Result<Vec<u64>, Found> {
        let mut targets = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (place, max_queue) in set.iter().enumerate() {
            let name = format!("set-{place}");
            names.insert(name.clone());
            targets.insert(name, Target { max_queue: *max_queue, ..Target::stdout() });
        }
        for place in 0..others {
            targets.insert(format!("other-{place}"), Target { max_queue: 0, ..Target::stdout() });
        }
        let mut check = Check::new(Path::new("."), Vec::new());
        share(&mut check, &mut targets, &names, max_size);
        if check.found.is_empty() {
            Ok(targets.into_values().map(|target| target.max_queue).collect())
        } else {
            Err(check.found)
        }
    }

    #[test]
    fn quotas_of_any_number_of_targets_leave_a_quarter_of_the_journal() {
        assert_eq!(shared(&[], 1, 2048 * MIB), Ok(vec![256 * MIB]));
        assert_eq!(shared(&[], 6, 2048 * MIB), Ok(vec![256 * MIB; 6]));
        assert_eq!(shared(&[], 8, 2048 * MIB), Ok(vec![192 * MIB; 8]));
        assert_eq!(
            shared(&[1024 * MIB], 2, 2048 * MIB),
            Ok(vec![256 * MIB, 256 * MIB, 1024 * MIB])
        );
        assert_eq!(shared(&[1], 0, MIB), Ok(vec![1]));
        for count in 1..300 {
            let quotas = shared(&[], count, 2048 * MIB).unwrap();
            assert!(quotas.iter().sum::<u64>() <= 1536 * MIB, "{count}");
        }
    }

    #[test]
    fn quotas_that_exceed_the_journal_are_an_error_with_the_numbers() {
        let text = |found: Result<Vec<u64>, Found>| {
            let found = found.unwrap_err();
            assert_eq!(found.len(), 1, "{found:?}");
            found.into_iter().next().unwrap()
        };
        let (at, why) = text(shared(&[1024 * MIB, 1024 * MIB], 1, 2048 * MIB));
        assert_eq!(at, "/journal/max_size");
        for part in ["set-0 1.0 GiB", "set-1 1.0 GiB", "1 without", "1.5 GiB of queues", "hint: "] {
            assert!(why.contains(part), "{why}");
        }
        let (at, _) = text(shared(&[2 * MIB], 0, 2 * MIB));
        assert_eq!(at, "/targets/set-0/max_queue");
        let (at, why) = text(shared(&[], 1, MIB / 2));
        assert_eq!(at, "/journal/max_size");
        assert!(why.contains("hint: write 1MiB or more"), "{why}");
    }
}
