//! The error of a rule, to which `?` converts every other error.

use std::error::Error as StdError;
use std::fmt;

/// The error of a rule that cannot answer an event: a text for the operator.
///
/// `?` converts any [`std::error::Error`] with the texts of its sources, and also a text:
///
/// ```
/// use klaxon_sdk::Error;
///
/// fn port(text: Option<&str>) -> Result<u16, Error> {
///     let text = text.ok_or("no port")?;
///     if text.is_empty() {
///         return Err("an empty port".into());
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(port(None).unwrap_err().to_string(), "no port");
/// assert_eq!(port(Some("x")).unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// As in other crates that convert every error, `Error` does not implement [`std::error::Error`] itself: the
/// conversion would be ambiguous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// Puts a text in front of the error, such as the value that could not be read.
    ///
    /// ```
    /// # use klaxon_sdk::Error;
    /// let error = Error::from("not a number").context("annotation example.com/limit");
    /// assert_eq!(error.to_string(), "annotation example.com/limit: not a number");
    /// ```
    #[must_use]
    pub fn context(self, text: impl fmt::Display) -> Self {
        Self(format!("{text}: {}", self.0))
    }

    /// Returns the text that the host records.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

// One conversion for errors and for texts. Separate ones would overlap: std might make `String` an error.
impl<E: Into<Box<dyn StdError>>> From<E> for Error {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some errors have the text of their source in their own.
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Layer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn StdError)
        }
    }

    fn text(result: Result<(), Error>) -> String {
        result.unwrap_err().into_text()
    }

    #[test]
    fn an_error_has_the_texts_of_its_sources() {
        let chain = |outer| {
            let inner = Layer("inner", Some(Box::new(Layer("root", None))));
            Error::from(Layer(outer, Some(Box::new(inner)))).to_string()
        };
        assert_eq!(chain("outer"), "outer: inner: root");
        assert_eq!(chain("outer: inner"), "outer: inner: root", "no text twice");
    }

    #[test]
    fn the_question_mark_converts_errors_and_texts() {
        let number = |text: &str| -> Result<(), Error> {
            serde_json::from_str::<u32>(text)?;
            Ok(())
        };
        assert!(number("1").is_ok());
        assert_eq!(text(number("x")), "expected value at line 1 column 1");
        let missing =
            |value: Option<()>| -> Result<(), Error> { Ok(value.ok_or("nothing there")?) };
        assert_eq!(text(missing(None)), "nothing there");
        let owned = || -> Result<(), Error> { Err("a pod".to_owned() + " too many")? };
        assert_eq!(text(owned()), "a pod too many");
        let boxed = || -> Result<(), Error> {
            let error: Box<dyn StdError> = Box::new(Layer("boxed", None));
            Err(error)?
        };
        assert_eq!(text(boxed()), "boxed");
        assert_eq!(text(Err(format!("{} of 3", 2).into())), "2 of 3");
    }

    #[test]
    fn a_context_comes_first() {
        let error = Error::from("inner").context("middle").context(format_args!("outer {}", 1));
        assert_eq!(error.to_string(), "outer 1: middle: inner");
    }
}
