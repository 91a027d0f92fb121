//! Comparison of expected and emitted verdicts.

use super::expect::{Expected, Mismatch};
use klaxon_model::Verdict;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pair {
    /// An expected verdict was emitted; the indexes of both.
    Same(usize, usize),
    /// An expected verdict was not emitted.
    Missing(usize),
    /// An emitted verdict was not expected.
    Extra(usize),
}

/// The first difference of two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// Verdicts at the same index differ in a field.
    Field(usize, Mismatch),
    /// One list is longer than the other.
    Number,
}

/// Returns the first difference of two lists that must be equal; `None` if they are.
pub(super) fn first_difference(expected: &[Expected], said: &[Verdict]) -> Option<First> {
    let pairs = expected.iter().zip(said).enumerate();
    let field = pairs
        .into_iter()
        .find_map(|(place, (expected, said))| Some(First::Field(place, expected.mismatch(said)?)));
    field.or((expected.len() != said.len()).then_some(First::Number))
}

/// Maximum number of pairs that are compared with each other; larger lists are shown index by index.
const MOST_PAIRS: usize = 250_000;

/// Aligns two lists so that as many pairs as possible are the same: the longest common subsequence of the
/// parts between their equal beginnings and ends.
pub(super) fn align(expected: &[Expected], said: &[Verdict]) -> Vec<Pair> {
    let fits = |i: usize, j: usize| match (expected.get(i), said.get(j)) {
        (Some(expected), Some(said)) => expected.mismatch(said).is_none(),
        _ => false,
    };
    let shortest = expected.len().min(said.len());
    let head = (0..shortest).take_while(|at| fits(*at, *at)).count();
    let ends = |back: &usize| fits(expected.len() - 1 - back, said.len() - 1 - back);
    let tail = (0..shortest - head).take_while(ends).count();
    let (rows, columns) = (expected.len() - head - tail, said.len() - head - tail);
    let mut pairs: Vec<Pair> = (0..head).map(|at| Pair::Same(at, at)).collect();
    let middle = if rows.saturating_mul(columns) > MOST_PAIRS {
        by_place(rows, columns)
    } else {
        longest_common(rows, columns, |i, j| fits(head + i, head + j))
    };
    pairs.extend(middle.into_iter().map(|pair| match pair {
        Pair::Same(i, j) => Pair::Same(head + i, head + j),
        Pair::Missing(i) => Pair::Missing(head + i),
        Pair::Extra(j) => Pair::Extra(head + j),
    }));
    let end = |at| Pair::Same(expected.len() - tail + at, said.len() - tail + at);
    pairs.extend((0..tail).map(end));
    pairs
}

/// Pairs that alternate between missing and extra.
fn by_place(rows: usize, columns: usize) -> Vec<Pair> {
    let both = |at| {
        let missing = (at < rows).then_some(Pair::Missing(at));
        missing.into_iter().chain((at < columns).then_some(Pair::Extra(at)))
    };
    (0..rows.max(columns)).flat_map(both).collect()
}

fn longest_common(rows: usize, columns: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    let width = columns + 1;
    // longest[i, j]: the length of the longest common subsequence from i and j on.
    let mut longest = vec![0usize; (rows + 1) * width];
    let mut same = vec![false; (rows + 1) * width];
    let at = |table: &[usize], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            let is_same = fits(i, j);
            let best = if is_same {
                at(&longest, i + 1, j + 1) + 1
            } else {
                at(&longest, i + 1, j).max(at(&longest, i, j + 1))
            };
            if let (Some(cell), Some(mark)) =
                (longest.get_mut(i * width + j), same.get_mut(i * width + j))
            {
                (*cell, *mark) = (best, is_same);
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < rows || j < columns {
        let here = at(&longest, i, j);
        if i < rows && j < columns && same.get(i * width + j) == Some(&true) {
            pairs.push(Pair::Same(i, j));
            (i, j) = (i + 1, j + 1);
        } else if i < rows && j < columns && at(&longest, i + 1, j + 1) == here {
            // An expected and an emitted verdict at the same index are shown together.
            pairs.extend([Pair::Missing(i), Pair::Extra(j)]);
            (i, j) = (i + 1, j + 1);
        } else if i < rows && (j >= columns || at(&longest, i + 1, j) == here) {
            pairs.push(Pair::Missing(i));
            i += 1;
        } else {
            pairs.push(Pair::Extra(j));
            j += 1;
        }
    }
    pairs
}

/// Returns the index of the first expected verdict that is not emitted after the ones before it; `None` if
/// all are.
pub(super) fn first_missing(expected: &[Expected], said: &[Verdict]) -> Option<usize> {
    let mut said = said.iter();
    expected.iter().position(|expected| !said.any(|said| expected.mismatch(said).is_none()))
}
