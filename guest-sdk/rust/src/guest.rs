//! What the export macro calls: one function per export of the contract.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::{Cx, Event, Manifest, Outcome, Problem, Rule, settings};

/// Where the macro keeps the configured rule.
pub type Instance<R> = LocalKey<RefCell<Option<R>>>;

/// A trap carries no text: what a panic says is left in memory between marks that the host knows, and
/// stays there, for nothing runs after it.
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut text = String::with_capacity(4096);
        text.push_str("\u{1}klaxon-panic\u{2}");
        text.push_str(&panic.to_string());
        text.push('\u{3}');
        std::mem::forget(std::hint::black_box(text));
    }));
}

/// `describe` of the contract: the rule's manifest with the schema of its settings.
pub fn describe<R: Rule>() -> Manifest {
    tell_panics();
    let mut manifest = R::manifest();
    manifest.settings_schema = settings::schema::<R::Settings>();
    manifest
}

/// `configure` of the contract.
///
/// # Errors
/// A problem where the settings do not fit the rule's type or the rule refuses them.
pub fn configure<R: Rule>(instance: &'static Instance<R>, text: &str) -> Result<(), Problem> {
    tell_panics();
    let rule = R::configure(settings::parse(text)?)?;
    instance.set(Some(rule));
    Ok(())
}

/// `evaluate` of the contract: one answer per event, in order.
pub fn evaluate<R: Rule>(
    instance: &'static Instance<R>,
    events: &[Event],
) -> Vec<Result<Outcome, String>> {
    instance.with_borrow_mut(|slot| {
        let Some(rule) = slot else {
            let why = "the rule was asked before it was configured";
            return events.iter().map(|_| Err(why.to_owned())).collect();
        };
        (0u32..)
            .zip(events)
            .map(|(index, event)| {
                let mut outcome = Outcome::default();
                rule.evaluate(&mut Cx::at(index), event, &mut outcome).map(|()| outcome)
            })
            .collect()
    })
}
