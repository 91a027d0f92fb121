//! Injection of SQLite errors by tests, because a healthy disk returns none.

use crate::JournalError;

/// The errors with which the next transactions end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seam {
    #[cfg(test)]
    errors: std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<i32>>>,
}

impl Seam {
    /// Returns the next error that a test has injected.
    #[cfg(test)]
    pub(super) fn pass(&self) -> Result<(), JournalError> {
        let code =
            self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
        code.map_or(Ok(()), |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            Err(error.into())
        })
    }

    /// Does nothing outside of tests.
    #[cfg(not(test))]
    pub(super) fn pass(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Returns `true` if injected errors are left.
    #[cfg(test)]
    pub(crate) fn has_more(&self) -> bool {
        !self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// Removes the injected errors that are left.
    #[cfg(test)]
    pub(crate) fn clear(&self) {
        self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// Makes the next transactions end with these extended error codes of SQLite.
    #[cfg(test)]
    pub(crate) fn inject(&self, codes: impl IntoIterator<Item = i32>) {
        self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(codes);
    }
}
