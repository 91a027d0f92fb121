//! A rule that takes as much of one resource as it can get on every event, for tests of the host's
//! limits. A setting names the resource.

use klaxon_sdk::Extension;
use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

const TAKEN: Code = Code::new("TAKEN", "Taken", Severity::Info, "An event on which it took");

/// The resource to take, and the amount on each event.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The resource.
    pub take: Take,
    /// The number of log lines, timers, verdicts, targets, or thousands of loop iterations.
    #[serde(default = "one")]
    pub count: usize,
    /// Bytes of each.
    #[serde(default)]
    pub bytes: usize,
}

fn one() -> usize {
    1
}

/// A resource of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// Nothing: one small verdict per event, the baseline of the other behaviours.
    Nothing,
    /// Log lines.
    LogLines,
    /// An error in place of an answer.
    Errors,
    /// State of the event's partition.
    State,
    /// Timers an hour ahead, with payloads.
    Timers,
    /// Payloads of verdicts.
    Payloads,
    /// Small verdicts.
    Verdicts,
    /// Targets of an extension, each of a kind that was never used before.
    ExtensionKinds,
    /// The operator's target `pager`, to which the rule is not routed.
    ForeignTarget,
    /// The sandbox itself: a trap on the events of every pod with a number divisible by five.
    Traps,
    /// Time.
    Time,
}

/// The rule.
pub struct Greedy {
    settings: Settings,
}

impl Rule for Greedy {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest::new("greedy", "1.0.0", "Takes as much of one resource as it can get")
            .code(TAKEN)
            .interest(Interest::new("pods", "v1", "Pod"))
            .state(1)
            .log()
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let Settings { take, count, bytes } = self.settings;
        let key = event.object.uid.as_str();
        let text = || "x".repeat(bytes);
        match take {
            Take::Nothing => {}
            Take::LogLines => (0..count).for_each(|_| cx.log(Level::Info, &text())),
            Take::Errors => return Err(text().into()),
            Take::State => {
                (0..count).for_each(|n| cx.state().put(&format!("fill/{n}"), &text()));
            }
            Take::Timers => {
                for n in 0..count {
                    let at = event.time() + Duration::hours(1);
                    out.set_timer_with(&format!("timer/{n}"), at, text());
                }
            }
            Take::Payloads => {
                out.emit(Verdict::firing(TAKEN, key).payload(&text())?);
                return Ok(());
            }
            Take::Verdicts => {
                (0..count).for_each(|n| out.emit(Verdict::firing(TAKEN, n.to_string())));
                return Ok(());
            }
            Take::ExtensionKinds => {
                let mut verdict = Verdict::firing(TAKEN, key);
                for n in 0..count {
                    let kind = format!("kind-{}-{n}", event.object.name);
                    verdict = verdict.to(Target::Extension(Extension { kind, body: text() }));
                }
                out.emit(verdict);
                return Ok(());
            }
            Take::ForeignTarget => {
                let pager = Target::Named("pager".to_owned());
                out.emit(Verdict::firing(TAKEN, key).to(Target::Routed).to(pager));
                return Ok(());
            }
            Take::Traps => {
                let number: u32 =
                    event.object.name.rsplit('-').next().map_or(Ok(1), str::parse).unwrap_or(1);
                assert!(!number.is_multiple_of(5), "told to");
            }
            Take::Time => {
                for turn in 0..count * 1000 {
                    std::hint::black_box(turn);
                }
            }
        }
        out.emit(Verdict::firing(TAKEN, key));
        Ok(())
    }
}

klaxon_sdk::export!(Greedy);
