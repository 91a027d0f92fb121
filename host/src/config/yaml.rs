//! YAML as a JSON value, with the line of each place.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

/// A document and where its parts stand.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads one YAML document.
    ///
    /// # Errors
    /// The line and what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut documents = MarkedYaml::load_from_str(text)
            .map_err(|fault| (fault.marker().line(), fault.info().to_owned()))?;
        if documents.len() > 1 {
            return Err((1, "this is more than one document; mend: remove the `---`".to_owned()));
        }
        let mut lines = BTreeMap::new();
        let value = match documents.pop() {
            Some(node) => convert(&node, "", &mut lines)?,
            None => return Err((1, "the file is empty".to_owned())),
        };
        Ok(Self { value, lines })
    }

    /// The line of a JSON Pointer, or of the nearest place above it.
    pub(super) fn line(&self, pointer: &str) -> usize {
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
            Scalar::FloatingPoint(number) => {
                Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number)
            }
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
                    return Err((key.span.start.line(), "a key is no text".to_owned()));
                };
                let below = format!("{pointer}/{}", escape(name));
                lines.insert(below.clone(), key.span.start.line());
                let member = convert(member, &below, lines)?;
                object.insert(name.to_owned(), member);
            }
            Ok(Value::Object(object))
        }
        _ => Err((line, "aliases and tags are not understood here; mend: write it out".to_owned())),
    }
}

/// A part of a JSON Pointer (RFC 6901).
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
