//! Parsing of a path into segments; constructs that cost too much are rejected.

use jsonpath_rust::parser::errors::JsonPathError;
use jsonpath_rust::parser::model as read;
use jsonpath_rust::parser::parse_json_path;
use serde_json::Value as Json;

use super::filter::{Comparison, Filter, Operand, Operator, Singular, Step};
use super::{MOST_BYTES_OF_PATH, MOST_NESTING, MOST_SEGMENTS, MOST_SELECTORS, Segment, Selector};

const NO_FUNCTIONS: &str =
    "functions are not supported; hint: compare values, or do it in the rule";
const NOT_SINGULAR: &str = "inside a filter only names and indices are supported (such as @.a.b[0]), for anything else is slow on large objects; hint: write $.items[?@.name == 'x'], or select in the rule";

/// Parses the segments of a path.
pub(super) fn segments(text: &str) -> Result<Vec<Segment>, String> {
    // Checked before parsing, because the parser recurses.
    if text.len() > MOST_BYTES_OF_PATH {
        return Err(format!(
            "the path has {} bytes, and may have {MOST_BYTES_OF_PATH}; hint: ask for less, and select in the rule",
            text.len()
        ));
    }
    if nesting(text) > MOST_NESTING {
        return Err(format!(
            "brackets and parentheses nest more than {MOST_NESTING} deep; hint: write a simpler path"
        ));
    }
    // The parser accepts white space as part of names.
    if has_space_in_name(text) {
        return Err(
            "this is no JSONPath: there is white space in a name or before it; hint: write ['a b']"
                .to_owned(),
        );
    }
    let query = parse_json_path(text).map_err(|error| in_one_line(&error))?;
    if query.segments.len() > MOST_SEGMENTS {
        return Err(format!(
            "the path has {} segments, and may have {MOST_SEGMENTS}; hint: write a shorter path",
            query.segments.len()
        ));
    }
    let segments: Vec<Segment> =
        query.segments.into_iter().map(segment).collect::<Result<_, _>>()?;
    if segments.iter().filter(|segment| segment.descends).count() > 1 {
        return Err(
            "`..` is supported once in a path, for each more multiplies the time; hint: name the members between them"
                .to_owned(),
        );
    }
    Ok(segments)
}

/// Returns the characters of a path outside of string literals; of each literal only the opening quote.
fn outside_of_texts(path: &str) -> impl Iterator<Item = char> {
    let mut characters = path.chars();
    std::iter::from_fn(move || {
        let character = characters.next()?;
        if ['\'', '"'].contains(&character) {
            while let Some(within) = characters.next()
                && within != character
            {
                if within == '\\' {
                    characters.next();
                }
            }
        }
        Some(character)
    })
}

/// Returns the maximum nesting of brackets and parentheses outside of string literals.
fn nesting(path: &str) -> usize {
    let (mut depth, mut most) = (0usize, 0usize);
    for character in outside_of_texts(path) {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Returns `true` if white space outside of string literals follows a dot or separates two characters of
/// names.
fn has_space_in_name(path: &str) -> bool {
    let is_of_name = |one: char| one.is_ascii_alphanumeric() || one == '_' || !one.is_ascii();
    let (mut before, mut is_spaced) = ('$', false);
    for character in outside_of_texts(path) {
        if [' ', '\t', '\r', '\n'].contains(&character) {
            is_spaced = true;
            continue;
        }
        if is_spaced && (before == '.' || is_of_name(before) && is_of_name(character)) {
            return true;
        }
        (before, is_spaced) = (character, false);
    }
    false
}

/// Formats a parser error in one line. The parser formats it over several lines, of which only the
/// position (` --> 1:7`) and the reason (` = expected …`) are used.
fn in_one_line(error: &JsonPathError) -> String {
    let text = error.to_string();
    let line = |begin: &str| text.lines().find_map(|line| Some(line.split_once(begin)?.1));
    match (line(" --> 1:"), line(" = ")) {
        (Some(at), Some(reason)) => format!("this is no JSONPath, at character {at}: {reason}"),
        _ => format!("this is no JSONPath: {error}"),
    }
}

fn segment(segment: read::Segment) -> Result<Segment, String> {
    let (descends, segment) = match segment {
        read::Segment::Descendant(inner) => (true, *inner),
        segment => (false, segment),
    };
    let selectors = match segment {
        read::Segment::Selector(one) => vec![one],
        read::Segment::Selectors(several) => several,
        read::Segment::Descendant(_) => return Err("`..` twice in a row is no JSONPath".to_owned()),
    };
    if selectors.len() > MOST_SELECTORS {
        return Err(format!(
            "a segment has {} selectors, and may have {MOST_SELECTORS}; hint: write * and select in the rule",
            selectors.len()
        ));
    }
    let selectors = selectors.into_iter().map(selector).collect::<Result<_, _>>()?;
    Ok(Segment { descends, selectors })
}

fn selector(selector: read::Selector) -> Result<Selector, String> {
    Ok(match selector {
        read::Selector::Name(name) => Selector::Name(name),
        read::Selector::Wildcard => Selector::Wildcard,
        read::Selector::Index(index) => Selector::Index(index),
        read::Selector::Slice(start, end, step) => {
            Selector::Slice { start, end, step: step.unwrap_or(1) }
        }
        read::Selector::Filter(filter) => Selector::Filter(self::filter(filter)?),
    })
}

fn filter(filter: read::Filter) -> Result<Filter, String> {
    let all = |filters: Vec<read::Filter>| {
        filters.into_iter().map(self::filter).collect::<Result<Vec<_>, String>>()
    };
    Ok(match filter {
        read::Filter::Or(filters) => Filter::Any(all(filters)?),
        read::Filter::And(filters) => Filter::All(all(filters)?),
        read::Filter::Atom(read::FilterAtom::Filter { expr, not }) => {
            negated(self::filter(*expr)?, not)
        }
        read::Filter::Atom(read::FilterAtom::Test { expr, not }) => {
            let (from_root, segments) = match *expr {
                read::Test::RelQuery(segments) => (false, segments),
                read::Test::AbsQuery(query) => (true, query.segments),
                read::Test::Function(_) => return Err(NO_FUNCTIONS.to_owned()),
            };
            let steps = segments.into_iter().map(step).collect::<Result<_, _>>()?;
            negated(Filter::Exists(Singular { from_root, steps }), not)
        }
        read::Filter::Atom(read::FilterAtom::Comparison(comparison)) => {
            Filter::Compares(compares(*comparison)?)
        }
    })
}

fn negated(filter: Filter, not: bool) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

fn step(segment: read::Segment) -> Result<Step, String> {
    match segment {
        read::Segment::Selector(read::Selector::Name(name)) => Ok(Step::Name(name)),
        read::Segment::Selector(read::Selector::Index(index)) => Ok(Step::Index(index)),
        _ => Err(NOT_SINGULAR.to_owned()),
    }
}

fn compares(comparison: read::Comparison) -> Result<Comparison, String> {
    use read::Comparison as Read;
    let (operator, left, right) = match comparison {
        Read::Eq(left, right) => (Operator::Equal, left, right),
        Read::Ne(left, right) => (Operator::NotEqual, left, right),
        Read::Lt(left, right) => (Operator::Less, left, right),
        Read::Lte(left, right) => (Operator::LessOrEqual, left, right),
        // The operands are swapped.
        Read::Gt(left, right) => (Operator::Less, right, left),
        Read::Gte(left, right) => (Operator::LessOrEqual, right, left),
    };
    Ok(Comparison { left: operand(left)?, operator, right: operand(right)? })
}

fn operand(comparable: read::Comparable) -> Result<Operand, String> {
    match comparable {
        read::Comparable::Literal(literal) => self::literal(literal).map(Operand::Literal),
        read::Comparable::Function(_) => Err(NO_FUNCTIONS.to_owned()),
        read::Comparable::SingularQuery(query) => {
            let (from_root, steps) = match query {
                read::SingularQuery::Current(steps) => (false, steps),
                read::SingularQuery::Root(steps) => (true, steps),
            };
            let steps = steps.into_iter().map(|step| match step {
                read::SingularQuerySegment::Name(name) => Step::Name(name),
                read::SingularQuerySegment::Index(index) => Step::Index(index),
            });
            Ok(Operand::At(Singular { from_root, steps: steps.collect() }))
        }
    }
}

fn literal(literal: read::Literal) -> Result<Json, String> {
    Ok(match literal {
        read::Literal::Int(number) => Json::from(number),
        read::Literal::Float(number) => serde_json::Number::from_f64(number)
            .map(Json::Number)
            .ok_or("a number is too large; hint: write one that 64 bits hold")?,
        read::Literal::String(text) => Json::String(text),
        read::Literal::Bool(yes) => Json::Bool(yes),
        read::Literal::Null => Json::Null,
    })
}
