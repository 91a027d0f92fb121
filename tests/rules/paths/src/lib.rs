//! A rule whose interest requests fields by every class of path that is allowed, for tests of their cost
//! on large objects.

use klaxon_sdk::prelude::*;

const FOUND: Code = Code::new("FOUND", "Found", Severity::Info, "Fields were found");

/// The rule.
pub struct Paths;

impl Rule for Paths {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        let widgets = Interest::new("widgets", "example.test/v1", "Widget")
            .field("$.spec.items[0].name")
            .field("$.spec.items[-1].name")
            .field("$.spec.items[0:1000:10].name")
            .field("$.spec.items[*].no")
            .field("$.spec.items[?@.name == 'item-7' && @.size > 3].size")
            .field("$['spec']['items', 'other'][5]")
            .field("$.spec..no")
            .field("$..*");
        Manifest::new("paths", "1.0.0", "Asks for fields by every class of path")
            .code(FOUND)
            .interest(widgets)
    }

    fn configure(_settings: NoSettings) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        out.emit(Verdict::firing(FOUND, &event.object.uid));
        Ok(())
    }
}

klaxon_sdk::export!(Paths);
