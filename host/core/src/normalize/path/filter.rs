//! Filters of a path: comparisons of single values, joined by and, or and not.

use serde_json::{Number, Value as Json};

use super::walk::{Budget, Spent, index_into};

/// A condition on a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Any(Vec<Filter>),
    All(Vec<Filter>),
    Not(Box<Filter>),
    Exists(Singular),
    Compares(Comparison),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub(super) left: Operand,
    pub(super) operator: Operator,
    pub(super) right: Operand,
}

/// Comparison operators. The other two are these with swapped operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Json),
    At(Singular),
}

/// A path that finds at most one value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Singular {
    /// `true` if the path begins at the document (`$`), not at the value that is tested (`@`).
    pub(super) from_root: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Name(String),
    Index(i64),
}

impl Filter {
    pub(super) fn holds(
        &self,
        value: &Json,
        root: &Json,
        budget: &mut Budget,
    ) -> Result<bool, Spent> {
        match self {
            Self::Any(filters) => {
                for filter in filters {
                    if filter.holds(value, root, budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::All(filters) => {
                for filter in filters {
                    if !filter.holds(value, root, budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Not(filter) => Ok(!filter.holds(value, root, budget)?),
            Self::Exists(path) => Ok(path.find(value, root, budget)?.is_some()),
            Self::Compares(comparison) => comparison.holds(value, root, budget),
        }
    }
}

impl Singular {
    fn find<'a>(
        &self,
        value: &'a Json,
        root: &'a Json,
        budget: &mut Budget,
    ) -> Result<Option<&'a Json>, Spent> {
        budget.visit(1 + self.steps.len())?;
        let mut at = if self.from_root { root } else { value };
        for step in &self.steps {
            let next = match step {
                Step::Name(name) => at.get(name),
                Step::Index(index) => index_into(at, *index),
            };
            let Some(next) = next else { return Ok(None) };
            at = next;
        }
        Ok(Some(at))
    }
}

impl Operand {
    fn find<'a>(
        &'a self,
        value: &'a Json,
        root: &'a Json,
        budget: &mut Budget,
    ) -> Result<Option<&'a Json>, Spent> {
        match self {
            Self::Literal(literal) => Ok(Some(literal)),
            Self::At(path) => path.find(value, root, budget),
        }
    }
}

impl Comparison {
    fn holds(&self, value: &Json, root: &Json, budget: &mut Budget) -> Result<bool, Spent> {
        let left = self.left.find(value, root, budget)?;
        let right = self.right.find(value, root, budget)?;
        match self.operator {
            Operator::Equal => equal(left, right, budget),
            Operator::NotEqual => Ok(!equal(left, right, budget)?),
            Operator::Less => less(left, right, budget),
            Operator::LessOrEqual => Ok(less(left, right, budget)? || equal(left, right, budget)?),
        }
    }
}

/// Returns `true` if two values are equal; two missing values are equal.
fn equal(left: Option<&Json>, right: Option<&Json>, budget: &mut Budget) -> Result<bool, Spent> {
    match (left, right) {
        (Some(left), Some(right)) => same(left, right, budget),
        (None, None) => Ok(true),
        _ => Ok(false),
    }
}

fn same(left: &Json, right: &Json, budget: &mut Budget) -> Result<bool, Spent> {
    budget.visit(1)?;
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => Ok(numbers(left, right, |l, r| l == r)),
        (Json::String(left), Json::String(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            budget.read(left.len())?;
            Ok(left == right)
        }
        (Json::Array(left), Json::Array(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right) {
                if !same(left, right, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Json::Object(left), Json::Object(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (key, left) in left {
                budget.read(key.len())?;
                let Some(right) = right.get(key) else { return Ok(false) };
                if !same(left, right, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (left, right) => Ok(left == right),
    }
}

fn less(left: Option<&Json>, right: Option<&Json>, budget: &mut Budget) -> Result<bool, Spent> {
    budget.visit(1)?;
    match (left, right) {
        (Some(Json::Number(left)), Some(Json::Number(right))) => {
            Ok(numbers(left, right, |l, r| l < r))
        }
        (Some(Json::String(left)), Some(Json::String(right))) => {
            budget.read(left.len().min(right.len()))?;
            Ok(left < right)
        }
        _ => Ok(false),
    }
}

/// Compares numbers by value as RFC 9535 does, regardless of their notation.
fn numbers(left: &Number, right: &Number, compare: fn(&f64, &f64) -> bool) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => compare(&left, &right),
        _ => false,
    }
}
