//! A rule that misbehaves on demand. On every other event it counts the events of its partition in its
//! state, and emits the number.

use std::cell::Cell;

use klaxon_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

const SEEN: Code = Code::new("SEEN", "Seen", Severity::Info, "How often the partition was seen");
/// A code that the manifest does not declare.
const UNDECLARED: Code = Code::new("NOPE", "", Severity::Info, "");

/// The behaviour, and the object that triggers it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The behaviour.
    pub behaviour: Behaviour,
    /// Name of the object that triggers the behaviour; empty for all objects.
    #[serde(default)]
    pub on: String,
    /// Millions of iterations of a busy loop on each event.
    #[serde(default)]
    pub spins: u32,
    /// Bytes of an answer, a line or an error, or a number of verdicts.
    #[serde(default)]
    pub size: usize,
}

/// Misbehaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is named after what it does")]
pub enum Behaviour {
    Nothing,
    LoopForEver,
    GrowMemory,
    RecurseDeeply,
    Trap,
    AnswerGigabyte,
    /// A title of `size` bytes, with the verdict's code and key.
    AnswerTitle,
    /// The body of an extension, of `size` bytes.
    AnswerExtension,
    /// `size` verdicts in addition to the one that it always emits.
    AnswerVerdicts,
    /// An error of `size` bytes.
    AnswerError,
    /// Lines of `size` bytes, as many as the limit of host calls allows.
    LogLines,
    /// Removes keys of `size` bytes that do not exist.
    RemoveLongKeys,
    SayUndeclaredCode,
    SayBrokenPayload,
    SayLongKey,
    AskBeyondTheBatch,
    AskBackwards,
    CallTheHostTooOften,
    OverfillState,
    /// On odd resource versions.
    FailAfterWriting,
    CountInMemory,
    /// Emits words in the order in which a map happens to iterate.
    LeakMapOrder,
    /// A mebibyte per event.
    LeakMemory,
    SetTooManyTimers,
    /// One answer fewer than there are events.
    AnswerTooFew,
    /// Sets and moves timers and state, and emits all events and all of its state.
    Remember,
    /// A hundred thousand bytes of state for each event.
    KeepMuch,
    /// As `KeepMuch`, on even resource versions.
    KeepMuchAtTimes,
    /// Removes the state of `KeepMuch`.
    KeepLess,
    /// A timer with a payload of a hundred thousand bytes for each event.
    TimerWithMuch,
    /// A payload of a hundred thousand bytes in each verdict.
    SayMuch,
    /// Thirty lines of a thousand bytes for each event.
    LogMuch,
    /// An extension with a kind of its own for each event, and many more.
    InventExtensions,
}

/// The rule.
pub struct Hostile {
    settings: Settings,
    in_memory: u32,
}

impl Rule for Hostile {
    type Settings = Settings;

    fn manifest() -> Manifest {
        Manifest::new("hostile", "1.0.0", "Misbehaves on demand")
            .code(SEEN)
            .interest(Interest::new("pods", "v1", "Pod"))
            .interest(Interest::new("events", "v1", "Event"))
            .state(1)
            .log()
    }

    fn configure(settings: Settings) -> Result<Self, Problem> {
        Ok(Self { settings, in_memory: 0 })
    }

    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        for turn in 0..u64::from(self.settings.spins) * 1_000_000 {
            std::hint::black_box(turn);
        }
        if self.settings.on.is_empty() || self.settings.on == event.object.name {
            self.misbehave(cx, event, out)?;
        }
        let before: u32 = cx.state().get_json("seen")?.unwrap_or(0);
        cx.state().put_json("seen", &(before + 1))?;
        let verdict = Verdict::firing(SEEN, &event.object.name);
        out.emit(verdict.payload(&(before + 1))?);
        Ok(())
    }
}

impl Hostile {
    fn misbehave(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        let seen: u32 = cx.state().get_json("seen")?.unwrap_or(0);
        match self.settings.behaviour {
            Behaviour::Nothing => {}
            Behaviour::LoopForEver => loop {
                std::hint::black_box(event);
            },
            Behaviour::GrowMemory => {
                let mut heap = Vec::new();
                loop {
                    heap.push(std::hint::black_box(vec![1u8; 1 << 20]));
                }
            }
            Behaviour::RecurseDeeply => {
                std::hint::black_box(recurse(std::hint::black_box(1)));
            }
            Behaviour::Trap => panic!("told to"),
            Behaviour::AnswerGigabyte => {
                let title = String::from_utf8(vec![b'x'; 1 << 30])?;
                out.emit(Verdict::firing(SEEN, "").title(title));
            }
            Behaviour::AnswerTitle
            | Behaviour::AnswerExtension
            | Behaviour::AnswerVerdicts
            | Behaviour::AnswerError
            | Behaviour::LogLines
            | Behaviour::RemoveLongKeys => self.enlarge(cx, out)?,
            Behaviour::SayUndeclaredCode => out.emit(Verdict::firing(UNDECLARED, "")),
            Behaviour::SayBrokenPayload => {
                let mut verdict = Verdict::firing(SEEN, "");
                "{broken".clone_into(&mut verdict.payload);
                out.emit(verdict);
            }
            Behaviour::SayLongKey => out.emit(Verdict::firing(SEEN, "k".repeat(1021))),
            Behaviour::AskBeyondTheBatch => ask_about(10_000),
            Behaviour::AskBackwards => {
                cx.state().get("x");
                ask_about(0);
            }
            Behaviour::CallTheHostTooOften => {
                for _ in 0..5000 {
                    cx.state().get("x");
                }
            }
            Behaviour::OverfillState => {
                for number in 0..100 {
                    cx.state().put(&format!("fill/{number}"), &"x".repeat(100_000));
                }
            }
            Behaviour::FailAfterWriting => {
                cx.state().put_json("seen", &1000)?;
                if event.object.resource_version.ends_with(['1', '3', '5', '7', '9']) {
                    return Err("failed after writing".into());
                }
                cx.state().put_json("seen", &seen)?;
            }
            Behaviour::CountInMemory => {
                self.in_memory += 1;
                let verdict = Verdict::firing(SEEN, "in memory");
                out.emit(verdict.payload(&self.in_memory)?);
            }
            Behaviour::LeakMapOrder => {
                let verdict = Verdict::firing(SEEN, "map order");
                out.emit(verdict.payload(&map_order())?);
            }
            Behaviour::LeakMemory => std::mem::forget(std::hint::black_box(vec![1u8; 1 << 20])),
            Behaviour::AnswerTooFew => FORGET_ONE.set(true),
            Behaviour::KeepMuch
            | Behaviour::KeepMuchAtTimes
            | Behaviour::KeepLess
            | Behaviour::TimerWithMuch
            | Behaviour::SayMuch
            | Behaviour::LogMuch
            | Behaviour::InventExtensions => self.overdo(cx, event, out)?,
            Behaviour::Remember => remember(cx, event, out)?,
            Behaviour::SetTooManyTimers => {
                for number in 0..101 {
                    out.set_timer(&format!("timer/{number}"), event.time() + Duration::minutes(1));
                }
            }
        }
        Ok(())
    }

    /// Sends the host data of the configured size.
    fn enlarge(&self, cx: &mut Cx, out: &mut Outcome) -> Result<(), Error> {
        match self.settings.behaviour {
            Behaviour::AnswerTitle => {
                let title = "t".repeat(self.settings.size - SEEN.name.len());
                out.emit(Verdict::firing(SEEN, "").title(title));
            }
            Behaviour::AnswerExtension => {
                let body = "b".repeat(self.settings.size);
                let extension = klaxon_sdk::Extension { kind: "pager".to_owned(), body };
                out.emit(Verdict::firing(SEEN, "").to(Target::Extension(extension)));
            }
            Behaviour::AnswerVerdicts => {
                for number in 0..self.settings.size {
                    out.emit(Verdict::firing(SEEN, number.to_string()));
                }
            }
            Behaviour::AnswerError => return Err("é".repeat(self.settings.size / 2).into()),
            Behaviour::LogLines => {
                let line = "l".repeat(self.settings.size);
                for _ in 0..40 {
                    cx.log(Level::Debug, &line);
                }
            }
            Behaviour::RemoveLongKeys => {
                for number in 0..40 {
                    let key = format!("{number}{}", "k".repeat(self.settings.size));
                    cx.state().remove(&key);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Exceeds a total budget, though not the limits of one event.
    fn overdo(&self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
        match self.settings.behaviour {
            Behaviour::KeepMuchAtTimes
                if event.object.resource_version.ends_with(['1', '3', '5', '7', '9']) => {}
            Behaviour::KeepMuch | Behaviour::KeepMuchAtTimes => {
                let key = format!("much/{}", event.object.resource_version);
                cx.state().put(&key, &"x".repeat(100_000));
            }
            Behaviour::KeepLess => {
                for key in cx.state().keys("much/") {
                    cx.state().remove(&key);
                }
            }
            Behaviour::TimerWithMuch => {
                let key = format!("much/{}", event.object.resource_version);
                out.set_timer_with(&key, event.time() + Duration::hours(1), "x".repeat(100_000));
            }
            Behaviour::SayMuch => {
                let verdict = Verdict::firing(SEEN, "much");
                out.emit(verdict.payload(&"x".repeat(100_000))?);
            }
            Behaviour::LogMuch => {
                for _ in 0..30 {
                    cx.log(Level::Info, &"x".repeat(1000));
                }
            }
            Behaviour::InventExtensions => {
                let mut verdict = Verdict::firing(SEEN, "extensions");
                for number in 0..100 {
                    let kind = format!("{}/{number}", event.object.name);
                    let body = String::new();
                    verdict = verdict.to(Target::Extension(klaxon_sdk::Extension { kind, body }));
                }
                out.emit(verdict);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Behaves as a rule that depends on its timers and its state: any change of their order shows.
fn remember(cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
    let object = &event.object;
    let version: u64 = object.resource_version.parse().unwrap_or(0);
    let now = event.time().as_millis();
    let seen: u32 = cx.state().get_json("seen")?.unwrap_or(0);
    let timer = event.timer.as_ref().map_or("", |timer| timer.key.as_str());
    let told = format!("{:?} {timer} {}@{version} at {now}", event.change, object.name);
    let kept = cx.state().keys("");
    out.emit(Verdict::firing(SEEN, "told").payload(&(told.as_str(), kept))?);
    cx.state().put("told", &told);
    if event.change == Change::Timer {
        if timer == "a" && seen.is_multiple_of(2) {
            out.set_timer("b", event.time() + Duration::millis(1500));
        }
        return Ok(());
    }
    // Several timers may be due at the same time.
    let soon = Timestamp::from_millis((now + 1999).div_euclid(1000) * 1000);
    match version % 5 {
        0 => out.set_timer("a", soon + Duration::millis(version % 7 * 500)),
        1 => out.set_timer("b", soon),
        2 => out.cancel_timer("a"),
        3 => out.set_timer("long", event.time() + Duration::minutes(15)),
        _ => cx.state().put_for("brief", "x", Duration::seconds(2)),
    }
    Ok(())
}

#[expect(clippy::disallowed_types, reason = "that is the point")]
fn map_order() -> Vec<&'static str> {
    let words = ["bulk", "fast", "slow", "test", "west", "north", "east", "south"];
    words.into_iter().collect::<std::collections::HashSet<_>>().into_iter().collect()
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    // The addition after the call prevents the compiler from making a loop of it.
    recurse(std::hint::black_box(depth + 1)) + depth
}

/// Calls the host for an event with another index than the current one.
fn ask_about(index: u32) {
    #[cfg(target_family = "wasm")]
    klaxon_sdk::bindings::klaxon::rule::state::get(index, "x");
    #[cfg(not(target_family = "wasm"))]
    std::hint::black_box(index);
}

thread_local! {
    /// `true` if the current call is to return one answer too few.
    static FORGET_ONE: Cell<bool> = const { Cell::new(false) };
}

/// The export is implemented by hand, because the SDK's export always answers every event.
#[cfg(target_family = "wasm")]
const _: () = {
    use klaxon_sdk::{bindings, guest};

    thread_local! {
        static INSTANCE: std::cell::RefCell<Option<Hostile>> = const { std::cell::RefCell::new(None) };
    }

    struct Exported;

    impl bindings::exports::klaxon::rule::rule::Guest for Exported {
        fn describe() -> Manifest {
            guest::describe::<Hostile>()
        }

        fn configure(settings: String) -> Result<(), Problem> {
            guest::configure::<Hostile>(&INSTANCE, &settings)
        }

        fn evaluate(events: Vec<Event>) -> Vec<Result<Outcome, String>> {
            let mut answers = guest::evaluate::<Hostile>(&INSTANCE, &events);
            if FORGET_ONE.take() {
                answers.pop();
            }
            answers
        }
    }

    bindings::export_bindings!(Exported with_types_in bindings);
};
