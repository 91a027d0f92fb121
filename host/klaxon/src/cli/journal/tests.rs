//! Tests of parsing command lines and formatting results.

use std::path::Path;

use clap::Parser;

use super::{
    JournalArguments, JournalCommand, arguments, check, clock, enable, export, ls, overview,
};
use super::{retry, show, table};
use crate::cli::Exit;
use klaxon_journal::inspect::{
    self, DeliveryRow, Editor, Filter, Quarantined, Reader, VerdictRow, page,
};
use klaxon_model::Timestamp;
use klaxon_test_support::journal_file::{self, Sample, TEN};

fn furnished() -> Sample {
    journal_file::furnished(|folder| drop(klaxon_journal::Journal::open(folder).unwrap()))
}

fn reader(sample: &Sample) -> Reader {
    Reader::open(sample.folder()).unwrap()
}

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: JournalArguments,
}

fn parsed(line: &str) -> Result<JournalArguments, clap::Error> {
    let words = ["journal"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.arguments)
}

fn run(sample: &Sample, line: &str) -> Exit {
    let line = format!("{line} --path {}", sample.folder().display());
    super::journal(&parsed(&line).unwrap())
}

fn now() -> Timestamp {
    Timestamp::from_millis(TEN + 2 * 3_600_000 + 5 * 60_000)
}

#[test]
fn the_command_line_is_sound() {
    <Line as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn a_change_without_a_selection_is_bad_usage() {
    for wrong in ["retry", "drop", "drop --yes", "retry --dry-run", "retry --all 3f9a1c"] {
        assert!(parsed(wrong).unwrap_err().use_stderr(), "{wrong}");
    }
    for right in ["retry --all", "retry 3f9a1c 77ab01", "retry --target notify --since 2h"] {
        assert!(matches!(parsed(right).unwrap().command, JournalCommand::Retry(_)), "{right}");
    }
    parsed("ls dead --since 2026-11-20T10:00:00Z --until 1d --limit 5 --path /x").unwrap();
    parsed("--path /x ls --output json").unwrap();
    for wrong in ["ls --since soon", "ls deads", "ls --state gone", "--path a --config b ls"] {
        parsed(wrong).unwrap_err();
    }
}

#[test]
fn moments_are_times_or_how_long_ago_they_are() {
    let at: arguments::Moment = "2026-11-20T10:00:00Z".parse().unwrap();
    assert_eq!(at, arguments::Moment::At(Timestamp::from_millis(TEN)));
    assert_eq!("1d2h".parse(), Ok(arguments::Moment::MillisAgo(26 * 3_600_000)));
}

#[test]
fn exit_codes_say_what_came_of_it() {
    let sample = furnished();
    assert_eq!(run(&sample, "ls"), Exit::Success);
    assert_eq!(run(&sample, "ls --rule akkeris"), Exit::CouldNotRun);
    assert_eq!(run(&sample, "ls gaps --code R14"), Exit::CouldNotRun);
    assert_eq!(run(&sample, "ls dead --state sent"), Exit::CouldNotRun);
    assert_eq!(run(&sample, "show ffffff"), Exit::Failure);
    assert_eq!(run(&sample, "show gap"), Exit::CouldNotRun);
    assert_eq!(run(&sample, "retry --target nobody"), Exit::Failure);
    assert_eq!(run(&sample, "retry --target notify --dry-run"), Exit::Success);
    assert_eq!(sample.count("deliveries WHERE state = 'pending'"), 1);
    assert_eq!(run(&sample, "retry --target notify"), Exit::Success);
    assert_eq!(sample.count("deliveries WHERE state = 'pending'"), 2);
    assert_eq!(run(&sample, "drop --target oncall --yes"), Exit::Success);
    assert_eq!(run(&sample, "drop --target oncall --yes"), Exit::Failure);
    assert_eq!(run(&sample, "drop quarantine 1 2 --yes"), Exit::Success);
    assert_eq!(run(&sample, "drop quarantine --yes"), Exit::CouldNotRun);
    assert_eq!(run(&sample, "enable oncall"), Exit::Success);
    assert_eq!(run(&sample, "enable oncall"), Exit::Failure);
    assert_eq!(run(&sample, "check"), Exit::Success);
    let nowhere = parsed("ls --path /nowhere").unwrap();
    assert_eq!(super::journal(&nowhere), Exit::CouldNotRun);
}

#[test]
fn deliveries_are_a_table() {
    let sample = furnished();
    sample
        .service()
        .execute("UPDATE deliveries SET next_at = ?1, reason = '503' WHERE n = 3", [TEN + 9000])
        .unwrap();
    let found = page::<DeliveryRow>(&reader(&sample), &Filter::default(), 4).unwrap();
    let line = super::line(&found.rows[0]).ok().unwrap();
    assert!(line.contains(r#""status":"firing","object":"Pod/a/web""#), "{line}");
    assert_eq!(
        ls::text(&found.rows),
        "\
ID            TARGET  STATE       TIME                      TRIES  RULE     CODE  STATUS  OBJECT     SIZE  KEY    NOTE
d00005000000  notify  superseded  2026-11-20T10:00:01.005Z      3  akkeris  R14   firing  Pod/a/web  7 B   web-5
d00004000000  notify  sent        2026-11-20T10:00:01.004Z      3  akkeris  R14   firing  Pod/a/web  7 B   web-4
d00003000000  notify  pending     2026-11-20T10:00:00.003Z      3  akkeris  R14   firing  Pod/a/web  7 B   web-3  again at 2026-11-20T10:00:09.000Z: 503
d00002000000  oncall  dead        2026-11-20T10:00:01.002Z      3  akkeris  R14   firing  Pod/a/web  7 B   web-2  404 Not Found
"
    );
}

#[test]
fn verdicts_are_a_table_and_their_json_is_the_verdict() {
    let sample = furnished();
    let found = page::<VerdictRow>(&reader(&sample), &Filter::default(), 1).unwrap();
    assert_eq!(
        ls::text(&found.rows),
        "\
ID            TIME                      RULE     CODE  SEVERITY  STATUS  KEY    OBJECT
a00005000000  2026-11-20T10:00:00.005Z  akkeris  R14   error     firing  web-5  Pod/a/web
"
    );
    let line = super::line(&found.rows[0]).ok().unwrap();
    assert!(line.ends_with("\"payload\":{ \"n\":5}}\n"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn the_overview_says_how_much_there_is() {
    let sample = furnished();
    let found = inspect::overview(&reader(&sample)).unwrap();
    let text = overview::text(&found, Path::new("/j/klaxon.db"), now());
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("journal     /j/klaxon.db: "), "{first}");
    let end = format!("KiB, and 0 B of log (schema {})", found.version);
    assert!(first.ends_with(&end), "{first}");
    assert_eq!(
        rest,
        "\
verdicts    5
refusals    1
gaps        1
quarantine  4: unreadable 2 since 2026-11-20T10:00:00.000Z, akkeris 2 since 2026-11-20T10:00:00.000Z
backlog     1: akkeris 1 since 2026-11-20T10:00:00.000Z
timers      1: akkeris 1 the next at 2026-11-20T10:00:00.000Z
state       1: akkeris 1

deliveries
TARGET  PENDING  SIZE  OLDEST  SENT  DEAD  SUPERSEDED  DISABLED
notify        1  7 B   2h4m       1     1           1
oncall        0  0 B   -          0     1           0  since 2026-11-20T10:00:00.000Z: 410 Gone

dead letters
TARGET  COUNT  LAST                      REASON
notify      1  2026-11-20T10:00:01.001Z  404 Not Found
oncall      1  2026-11-20T10:00:01.002Z  404 Not Found

watches
WATCH  CURSOR  SINCE                     STATE
pods     4711  2026-11-20T10:00:00.000Z  following
"
    );
}

#[test]
fn a_verdict_is_shown_with_all_that_came_of_it() {
    let sample = furnished();
    let text = show::text(&inspect::show(&reader(&sample), "a00001").unwrap());
    let (_, deliveries) = text.split_once("\n\n").unwrap();
    // A receiver's message cannot colour the terminal.
    assert_eq!(
        deliveries,
        "\
delivery d0000100000000000000000000000000 to notify
  state     dead
  made      2026-11-20T10:00:00.001Z
  attempts  3, the first at 2026-11-20T10:00:00.001Z
  settled   2026-11-20T10:00:01.001Z
  reason    404 Not Found
  response  no such [31m hook
  body      7 B
    {
      \"n\": 1
    }

no delivery to bus (refusal 1, 2026-11-20T10:00:00.000Z): no such target
"
    );
    let gap = show::gap_text(&inspect::gap(&reader(&sample), 1).unwrap());
    assert!(gap.starts_with("gap 1 in pods\n  kinds     Pod\n  namespace all\n"), "{gap}");
}

#[test]
fn quarantined_objects_become_a_stream() {
    let sample = furnished();
    let mut lines = Vec::new();
    inspect::each(&reader(&sample), &Filter::default(), |row: Quarantined| {
        lines.push(serde_json::to_string(&export::streamed(&row)).unwrap());
        Ok::<(), inspect::InspectError>(())
    })
    .unwrap();
    let at = "\"at\":\"2026-11-20T10:00:00.000Z\"";
    assert_eq!(
        lines,
        [
            format!(
                "{{{at},\"type\":\"ADDED\",\"object\":{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{}}}},\"rule\":null,\"scope\":\"pods\",\"reason\":\"metadata has no name\"}}"
            ),
            format!(
                "{{{at},\"type\":\"ADDED\",\"object\":{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"web\"}}}},\"rule\":\"akkeris\",\"scope\":\"e1\",\"reason\":\"trap\"}}"
            ),
            format!(
                "{{{at},\"type\":\"QUARANTINED\",\"rule\":\"akkeris\",\"scope\":\"e2\",\"reason\":\"trap\",\"input\":{{\"document\":null,\"meta\":{{}}}}}}"
            ),
            format!(
                "{{{at},\"type\":\"QUARANTINED\",\"rule\":null,\"scope\":\"pods\",\"reason\":\"no JSON\",\"input\":\"{{broken\"}}"
            ),
        ]
    );
}

#[test]
fn what_is_exported_to_a_file_has_its_body() {
    let sample = furnished();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dead.jsonl");
    assert_eq!(run(&sample, &format!("export dead -o {}", file.display())), Exit::Success);
    let text = std::fs::read_to_string(&file).unwrap();
    let first = text.lines().next().unwrap();
    assert!(
        first.contains("\"state\":\"dead\"") && first.contains(r#""body":"{\"n\":1}""#),
        "{first}"
    );
    assert_eq!(text.lines().count(), 2);
    for what in ["verdicts", "deliveries", "gaps", "quarantine"] {
        let line = format!("export {what} -o {}", folder.path().join(what).display());
        assert_eq!(run(&sample, &line), Exit::Success);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
}

#[test]
fn backups_and_checks_say_what_they_found() {
    let sample = furnished();
    let folder = tempfile::tempdir().unwrap();
    let line = format!("backup {}", folder.path().join("copy.db").display());
    assert_eq!(run(&sample, &line), Exit::Success);
    assert_eq!(run(&sample, &line), Exit::Failure);
    let found = inspect::check(&reader(&sample)).unwrap();
    assert_eq!(
        check::text(&found, Path::new("/j/klaxon.db")),
        "log      none: the service was ended in order\n/j/klaxon.db: sound\n"
    );
}

#[test]
fn changes_are_told() {
    let sample = furnished();
    let found = inspect::resendable(&reader(&sample), &inspect::Selection::default()).unwrap();
    assert_eq!(
        retry::would(&found),
        "1 dead letter would be sent again: notify 1\n1 refused verdict would be tried again: bus 1\n"
    );
    let enabled = inspect::enable(&mut Editor::open(sample.folder()).unwrap(), "oncall").unwrap();
    assert_eq!(
        enable::text(&enabled),
        "oncall is enabled; it was disabled since 2026-11-20T10:00:00.000Z (410 Gone); 1 dead letter \
         waits: `klaxon journal retry --target oncall` sends them again\n"
    );
}

#[test]
fn long_cells_are_cut_and_ages_have_two_units() {
    let row = vec!["x".repeat(60), "y\n".repeat(60)];
    let text = table::table(&["A", "B"], &[row]);
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains('…') && text.contains(&"y ".repeat(59)));
    let age =
        |seconds: i64| table::age(Timestamp::default(), Timestamp::from_millis(seconds * 1000));
    assert_eq!([age(59), age(61), age(7300), age(90_000)], ["59s", "1m1s", "2h1m", "1d1h"]);
}

#[test]
fn the_clock_is_shown_and_set_back_only_when_it_is_confirmed_and_the_service_is_stopped() {
    for wrong in ["clock --reset", "clock --yes"] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
    let sample = furnished();
    let stored = || {
        let select = "SELECT value FROM meta WHERE key = 'clock'";
        sample.service().query_row(select, [], |row| row.get::<_, String>(0)).unwrap()
    };
    let year_ahead = klaxon_model::clock::wall().plus_millis(365 * 86_400_000);
    sample
        .service()
        .execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('clock', ?1)",
            [year_ahead.as_millis().to_string()],
        )
        .unwrap();
    let before = stored();
    let found = inspect::clock(&reader(&sample), now()).unwrap();
    assert_eq!(found.journal, Some(year_ahead));
    let text = clock::text(&found);
    assert!(text.contains("ahead; hint: "), "{text}");
    let running = klaxon_journal::Journal::open(sample.folder()).unwrap();
    assert_eq!(run(&sample, "clock"), Exit::Success);
    assert_eq!(run(&sample, "clock --reset --yes"), Exit::CouldNotRun, "the service runs");
    assert_eq!(stored(), before);
    drop(running);
    assert_eq!(run(&sample, "clock --reset --yes"), Exit::Success);
    let after: i64 = stored().parse().unwrap();
    assert!(after < year_ahead.as_millis() - 300 * 86_400_000);
}
