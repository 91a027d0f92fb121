//! A rule that sees pods with a label, and the metadata of config maps: a server can select the former
//! and omit the content of the latter.

use klaxon_sdk::prelude::*;

const SAW: Code = Code::new("SAW", "Saw", Severity::Info, "An event");

/// The rule.
pub struct Selective;

impl Rule for Selective {
    type Settings = NoSettings;

    fn manifest() -> Manifest {
        Manifest::new("selective", "1.0.0", "Says what it sees of a selection")
            .code(SAW)
            .interest(Interest::new("pods", "v1", "Pod").label_selector("tier=web"))
            .interest(Interest::new("maps", "v1", "ConfigMap"))
    }

    fn configure(_: NoSettings) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let (object, gap) = (&event.object, if event.gap { " after a gap" } else { "" });
        let title = format!("{:?} {}/{}{gap}", event.change, object.kind, object.name);
        out.emit(Verdict::firing(SAW, &object.uid).title(title));
        Ok(())
    }
}

klaxon_sdk::export!(Selective);
