//! A rule that lights a fuse on each new pod that asks for one, and emits a verdict when the fuse has
//! burnt down. It never cancels one: the host guarantees that the timers of a deleted pod do not fire.

use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const BURNT: Code = Code::new("BURNT", "Burnt down", Severity::Info, "A fuse has burnt down");

/// The rule.
pub struct Fuse {
    settings: Settings,
}

/// The settings of a test.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The time that a fuse burns, in milliseconds.
    pub burns_ms: u64,
}

#[derive(Serialize)]
struct Burnt<'a> {
    uid: &'a str,
    name: &'a str,
    event: &'a str,
}

impl Rule for Fuse {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest::new("fuse", "1.0.0", "Says when a new pod's fuse has burnt down")
            .code(BURNT)
            .interest(Interest::new("fuses", "v1", "Pod").label_selector("fuse"))
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings })
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let object = &event.object;
        match event.change {
            Change::Added => {
                out.set_timer("fuse", event.time() + Duration::millis(self.settings.burns_ms));
            }
            Change::Timer => {
                let burnt = Burnt { uid: &object.uid, name: &object.name, event: &event.id };
                out.emit(Verdict::firing(BURNT, &object.uid).payload(&burnt)?);
            }
            Change::Modified | Change::Deleted | Change::Left | Change::Snapshot | Change::Tick => {
            }
        }
        Ok(())
    }
}

klaxon_sdk::export!(Fuse);
