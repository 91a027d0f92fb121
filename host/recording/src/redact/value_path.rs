//! The path of a value in an object, as a list linked from the leaf to the root.

/// One step of a path.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Element,
}

/// A path in an object. It lives on the stack of the walk, whose depth serde_json's nesting limit bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValuePath<'a> {
    above: Option<&'a ValuePath<'a>>,
    step: Step<'a>,
}

impl<'a> ValuePath<'a> {
    pub(super) fn root() -> Self {
        Self { above: None, step: Step::Root }
    }

    pub(super) fn key_of(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: Step::Key(key) }
    }

    pub(super) fn element(&'a self) -> Self {
        Self { above: Some(self), step: Step::Element }
    }

    /// Returns this path and all above it, the root last.
    fn upwards(&self) -> impl Iterator<Item = &ValuePath<'a>> {
        std::iter::successors(Some(self), |part| part.above)
    }

    /// Returns the nearest key: for an element that of its array; empty at the root.
    pub(super) fn key(&self) -> &str {
        self.keys().next().unwrap_or_default()
    }

    /// Returns the key of the object that has the nearest key: `env` for the `value` in `env[].value`.
    pub(super) fn holder(&self) -> &str {
        self.keys().nth(1).unwrap_or_default()
    }

    /// Returns the keys on the way up, without array elements.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.upwards().filter_map(|part| match part.step {
            Step::Key(key) => Some(key),
            Step::Root | Step::Element => None,
        })
    }

    /// Returns `true` if these are exactly the keys from here up to the root.
    pub(super) fn is_up(&self, keys: &[&str]) -> bool {
        self.keys().eq(keys.iter().copied())
    }

    /// Returns the number of steps from the root.
    pub(super) fn depth(&self) -> usize {
        self.upwards().count().saturating_sub(1)
    }

    /// Returns `true` if this is the path of a field; `*` in `path` stands for any element.
    pub(super) fn is(&self, path: &[String]) -> bool {
        let mut steps = self.upwards();
        let matches = path.iter().rev().all(|wanted| {
            steps.next().is_some_and(|part| match part.step {
                Step::Key(key) => key == wanted,
                Step::Element => wanted == "*",
                Step::Root => false,
            })
        });
        matches && steps.next().is_some_and(|part| matches!(part.step, Step::Root))
    }
}
