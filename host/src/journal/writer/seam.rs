//! Errors of SQLite that a test wants, of which a healthy disk has none.

use crate::journal::JournalError;

/// Errors that the next transactions end with.
#[derive(Debug, Clone, Default)]
pub(in crate::journal) struct Seam {
    #[cfg(test)]
    errors: std::sync::Arc<std::sync::Mutex<std::collections::VecDeque<i32>>>,
}

impl Seam {
    /// The error that a test wants here.
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

    /// Returns `true` if errors are left that no transaction has met.
    #[cfg(test)]
    pub(in crate::journal) fn has_more(&self) -> bool {
        !self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// Forgets errors that are left.
    #[cfg(test)]
    pub(in crate::journal) fn clear(&self) {
        self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    /// The next transactions end with these extended error codes of SQLite.
    #[cfg(test)]
    pub(in crate::journal) fn inject(&self, codes: impl IntoIterator<Item = i32>) {
        self.errors.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(codes);
    }
}
