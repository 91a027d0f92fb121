//! Parses YAML to a JSON value and records the line of each value.

use std::collections::BTreeMap;
use std::path::Path;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

use super::error::{FileError, FileErrors};
use super::schema::Found;

/// A document and the lines of its values.
#[derive(Debug)]
pub struct Document {
    /// The contents of the document.
    pub value: Value,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads a file with one document.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not valid YAML.
    pub fn read(path: &Path) -> Result<Self, FileErrors> {
        let whole = |line, message| FileErrors {
            file: path.to_owned(),
            errors: vec![FileError { line, path: String::new(), message }],
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| whole(0, format!("cannot be read: {error}; hint: check the path")))?;
        Self::parse(&text).map_err(|(line, why)| whole(line, why))
    }

    /// Converts errors at JSON Pointers to errors with lines, in their order. `None` if there are none.
    pub fn errors(&self, file: &Path, found: Found) -> Option<FileErrors> {
        let error = |(pointer, message): (String, String)| FileError {
            line: self.line(&pointer),
            path: dotted(&pointer),
            message,
        };
        let mut errors: Vec<FileError> = found.into_iter().map(error).collect();
        errors.sort_by(|a, b| (a.line, &a.path).cmp(&(b.line, &b.path)));
        (!errors.is_empty()).then(|| FileErrors { file: file.to_owned(), errors })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut documents = MarkedYaml::load_from_str(text)
            .map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        if documents.len() > 1 {
            return Err((1, "this is more than one document; hint: remove the `---`".to_owned()));
        }
        let mut lines = BTreeMap::new();
        let value = match documents.pop() {
            Some(node) => convert(&node, "", &mut lines)?,
            None => return Err((1, "the file is empty".to_owned())),
        };
        Ok(Self { value, lines })
    }

    /// Returns the line of a JSON Pointer, or of the nearest value above it.
    pub fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rsplit_once('/') {
                Some((above, _)) => pointer = above,
                None => return 1,
            }
        }
    }
}

fn convert(
    node: &MarkedYaml<'_>,
    pointer: &str,
    lines: &mut BTreeMap<String, usize>,
) -> Result<Value, (usize, String)> {
    let line = node.span.start.line();
    lines.entry(pointer.to_owned()).or_insert(line);
    match &node.data {
        YamlData::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(yes) => Value::Bool(*yes),
            Scalar::Integer(number) => Value::Number((*number).into()),
            Scalar::FloatingPoint(number) => Value::Number(float(number.into_inner(), line)?),
            Scalar::String(text) => Value::String(text.to_string()),
        }),
        YamlData::Sequence(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(place, item)| convert(item, &format!("{pointer}/{place}"), lines))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        YamlData::Mapping(members) => {
            let mut object = Map::new();
            for (key, member) in members {
                let Some(name) = key.data.as_str() else {
                    let why = "a key is no text; hint: put it in quotes".to_owned();
                    return Err((key.span.start.line(), why));
                };
                let below = format!("{pointer}/{}", escape(name));
                lines.insert(below.clone(), key.span.start.line());
                let member = convert(member, &below, lines)?;
                object.insert(name.to_owned(), member);
            }
            Ok(Value::Object(object))
        }
        _ => Err((
            line,
            "tags are not understood here; hint: write the value without one".to_owned(),
        )),
    }
}

/// Converts a float to a JSON number if that is exact. Integers that exceed 64 bits arrive here too, and would lose
/// digits.
fn float(number: f64, line: usize) -> Result<Number, (usize, String)> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let found = Number::from_f64(number).filter(|_| number.fract() != 0.0 || number.abs() <= EXACT);
    found.ok_or_else(|| {
        let why = format!("{number} is no number that can be kept exactly; hint: put it in quotes");
        (line, why)
    })
}

/// Escapes a part of a JSON Pointer (RFC 6901).
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Converts a JSON Pointer such as `/rules/0/module` to `rules[0].module`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.parse::<usize>().is_ok() {
            path.push_str(&format!("[{part}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
    }
    path
}
