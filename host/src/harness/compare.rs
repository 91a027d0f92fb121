//! Expected verdicts beside those that were said.

use super::expect::{Expected, Mismatch};
use crate::model::Verdict;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair {
    /// An expected verdict was said; their places.
    Same(usize, usize),
    /// An expected verdict was not said.
    Missing(usize),
    /// A verdict was said that was not expected.
    Extra(usize),
}

/// Where two lists differ first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// Verdicts of the same place differ in a field.
    Field(usize, Mismatch),
    /// One list goes on where the other ends.
    Number,
}

/// The first difference of two lists that must be equal; none: they are.
pub(super) fn first_difference(expected: &[Expected], said: &[Verdict]) -> Option<First> {
    let pairs = expected.iter().zip(said).enumerate();
    let field = pairs
        .into_iter()
        .find_map(|(place, (expected, said))| Some(First::Field(place, expected.mismatch(said)?)));
    field.or((expected.len() != said.len()).then_some(First::Number))
}

/// Lays two lists side by side so that as many as possible are the same (longest common
/// subsequence; lists of tests are short).
pub(super) fn align(expected: &[Expected], said: &[Verdict]) -> Vec<Pair> {
    let fits = |i: usize, j: usize| match (expected.get(i), said.get(j)) {
        (Some(expected), Some(said)) => expected.mismatch(said).is_none(),
        _ => false,
    };
    let (rows, columns) = (expected.len(), said.len());
    let width = columns + 1;
    // longest[i, j]: of what remains from i and j on.
    let mut longest = vec![0usize; (rows + 1) * width];
    let at = |table: &[usize], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            let best = if fits(i, j) {
                at(&longest, i + 1, j + 1) + 1
            } else {
                at(&longest, i + 1, j).max(at(&longest, i, j + 1))
            };
            if let Some(cell) = longest.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < rows || j < columns {
        if i < rows && j < columns && fits(i, j) {
            pairs.push(Pair::Same(i, j));
            (i, j) = (i + 1, j + 1);
        } else if i < rows && (j >= columns || at(&longest, i + 1, j) >= at(&longest, i, j + 1)) {
            pairs.push(Pair::Missing(i));
            i += 1;
        } else {
            pairs.push(Pair::Extra(j));
            j += 1;
        }
    }
    pairs
}

/// The first of the expected verdicts that is not said after the ones before it; none: all are.
pub(super) fn first_missing(expected: &[Expected], said: &[Verdict]) -> Option<usize> {
    let mut said = said.iter();
    expected.iter().position(|expected| !said.any(|said| expected.mismatch(said).is_none()))
}
