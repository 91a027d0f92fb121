//! A rule that numbers the pods' events of each lane, so that tests can check that state is committed
//! with the verdicts: each verdict has its number and the event before it. A setting makes each event
//! take time.

use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{STATE, VERSION};

const COUNTED: Code = Code::new("COUNTED", "Counted", Severity::Info, "One more event of a lane");
/// The label of a pod that names its lane.
const LANE: &str = "lane";
/// The key of the last event in the state of a lane.
const LAST: &str = "last";

/// The rule.
pub struct Counter {
    settings: Settings,
}

/// The settings of a test.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Rounds of work for each event; a million take about two milliseconds.
    pub work: u32,
}

/// One event of a lane.
#[derive(Serialize, Deserialize)]
struct Counted {
    lane: String,
    /// The version of the state that the number is from.
    state: u32,
    n: u64,
    event: String,
    /// The event that was counted before this one; empty for the first.
    previous: String,
    work: u32,
}

impl Rule for Counter {
    type Settings = Settings;

    fn manifest() -> Manifest {
        let pods = Interest::new("pods", "v1", "Pod")
            .parts(Parts::LABELS)
            .partition(Partition::ByLabel(LANE.to_owned()));
        Manifest::new("counter", VERSION, "Numbers the pods' events of each lane")
            .code(COUNTED)
            .interest(pods)
            .state(STATE)
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let lane = event.label(LANE).ok_or("a pod without a lane")?.to_owned();
        let before: Option<Counted> = cx.state().get_json(LAST)?;
        let (n, previous) = before.map_or((0, String::new()), |last| (last.n, last.event));
        let work = work(self.settings.work);
        let counted =
            Counted { lane, state: STATE, n: n + 1, event: event.id.clone(), previous, work };
        cx.state().put_json(LAST, &counted)?;
        out.emit(Verdict::firing(COUNTED, &counted.lane).payload(&counted)?);
        Ok(())
    }
}

/// Computes rounds that each depend on the previous one, so that the compiler cannot remove them.
fn work(rounds: u32) -> u32 {
    (0..rounds).fold(0, |sum: u32, round| (sum ^ round).wrapping_mul(0x9e37_79b1).rotate_left(5))
}
