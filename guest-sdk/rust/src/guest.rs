//! Functions that the export macro calls: one per export of the contract.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::{Cx, Error, Event, Manifest, Outcome, Problem, Rule, settings};

/// Storage of the configured rule in the macro's code.
pub type Instance<R> = LocalKey<RefCell<Option<R>>>;

/// Installs a panic hook that leaves the text of a panic in memory between marks that the host knows, as a
/// trap carries no text. The text is never freed, and no code runs after the hook.
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut text = String::with_capacity(4096);
        text.push_str("\u{1}klaxon-panic\u{2}");
        text.push_str(&panic.to_string());
        text.push('\u{3}');
        std::mem::forget(std::hint::black_box(text));
    }));
}

/// Implements `describe` of the contract: returns the manifest with the schema of the settings.
pub fn describe<R: Rule>() -> Manifest {
    tell_panics();
    let mut manifest = R::manifest();
    manifest.settings_schema = settings::schema::<R::Settings>();
    manifest
}

/// Implements `configure` of the contract.
///
/// # Errors
/// If the settings do not match the rule's type or the rule rejects them.
pub fn configure<R: Rule>(instance: &'static Instance<R>, text: &str) -> Result<(), Problem> {
    tell_panics();
    let rule = R::configure(settings::parse(text)?)?;
    instance.set(Some(rule));
    Ok(())
}

/// Implements `evaluate` of the contract: returns one answer per event, in order.
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
                let answer = rule.evaluate(&mut Cx::at(index), event, &mut outcome);
                answer.map(|()| outcome).map_err(Error::into_text)
            })
            .collect()
    })
}
