//! A YAML document that remembers its lines, and its typed reading with every fault at once.
//!
//! serde stops at the first fault. [`Document::read`] goes on: it takes an unknown key out, notes it, and reads
//! again, so that one pass over a block shows all its unknown keys and the first value of a wrong type.

mod words;

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Problem, did_you_mean};

/// A parsed YAML file: its value as JSON, and the line of every field.
#[derive(Debug, Clone)]
pub struct Document {
    /// Path as the user would type it.
    pub file: String,
    /// The whole document. Key order is the file's.
    pub value: Value,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Parses `text`. A syntax error, a duplicate key and a non-string key are faults with a line.
    pub fn parse(file: impl Into<String>, text: &str) -> Result<Self, Diagnostic> {
        let file = file.into();
        let fault = |line, message: String, hint: Option<&str>| Diagnostic {
            file: file.clone(),
            line,
            field: String::new(),
            message,
            hint: hint.map(str::to_owned),
        };
        let documents = MarkedYaml::load_from_str(text).map_err(|error| {
            let hint = (error.info() == "duplicated key in mapping")
                .then_some("two entries of one mapping have the same name; rename or remove one");
            fault(error.marker().line(), format!("not valid YAML: {}", error.info()), hint)
        })?;
        let [root] = documents.as_slice() else {
            return Err(fault(
                0,
                format!("expected one YAML document, found {}", documents.len()),
                Some("a file holds one document; split it at the `---` lines"),
            ));
        };
        let mut lines = BTreeMap::new();
        let value = convert(root, "", &mut lines)
            .map_err(|(line, message)| fault(line, message, Some("quote the key to make it a string")))?;
        Ok(Self { file, value, lines })
    }

    /// The line of `field`, or of the nearest field around it that stands in the file.
    pub fn line(&self, field: &str) -> usize {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return self.lines.get("").copied().unwrap_or(1),
            }
        }
    }

    /// A fault at `field`, with its line.
    pub fn diagnostic(&self, field: &str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: self.line(field),
            field: field.to_owned(),
            message: message.into(),
            hint,
        }
    }

    /// Places a block's problem in this file. `base` is the block's own path.
    pub fn place(&self, base: &str, problem: Problem) -> Diagnostic {
        self.diagnostic(&join(base, &problem.field), problem.message, problem.hint)
    }

    /// Reads the whole document, or the faults that stand in the way.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        read_value(self.value.clone()).map_err(|problems| problems.into_iter().map(|p| self.place("", p)).collect())
    }
}

/// Reads a block, or says all that is wrong with it. Unknown keys are all found; of the other faults, the first.
pub fn read_value<T: DeserializeOwned>(mut value: Value) -> Result<T, Vec<Problem>> {
    let mut problems = Vec::new();
    loop {
        match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(read) if problems.is_empty() => return Ok(read),
            Ok(_) => return Err(problems),
            Err(error) => {
                let path = error.path().to_string();
                let path = if path == "." { String::new() } else { path };
                let message = error.into_inner().to_string();
                let Some((key, known)) = unknown_field(&message) else {
                    let (message, hint) = words::plain(&message);
                    problems.push(Problem { hint, ..Problem::new(path, message) });
                    return Err(problems);
                };
                // serde_path_to_error includes the unknown key in the path.
                let parent = path.strip_suffix(&key).map_or(path.as_str(), |p| p.trim_end_matches('.'));
                let field = join(parent, &key);
                let hint = did_you_mean(&key, known.iter().map(String::as_str));
                problems.push(Problem::new(field, format!("unknown key `{key}`")).hint(hint));
                if !remove(&mut value, parent, &key) {
                    return Err(problems);
                }
            }
        }
    }
}

/// `base.field`, where either may be empty.
pub fn join(base: &str, field: &str) -> String {
    match (base, field) {
        ("", field) => field.to_owned(),
        (base, "") => base.to_owned(),
        (base, field) if field.starts_with('[') => format!("{base}{field}"),
        (base, field) => format!("{base}.{field}"),
    }
}

fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((key.to_owned(), known))
}

fn remove(value: &mut Value, parent: &str, key: &str) -> bool {
    let mut at = value;
    for step in parent.split(['.', '[']).filter(|s| !s.is_empty()) {
        let next = match step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
            Some(index) => at.get_mut(index),
            None => at.get_mut(step),
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    at.as_object_mut().is_some_and(|map| map.shift_remove(key).is_some())
}

type Fault = (usize, String);

fn convert(node: &MarkedYaml<'_>, path: &str, lines: &mut BTreeMap<String, usize>) -> Result<Value, Fault> {
    let line = node.span.start.line();
    lines.entry(path.to_owned()).or_insert(line);
    match &node.data {
        YamlData::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(*value),
            Scalar::Integer(value) => Value::from(*value),
            Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
            Scalar::String(value) => Value::from(value.as_ref()),
        }),
        YamlData::Sequence(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| convert(item, &format!("{path}[{index}]"), lines))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        YamlData::Mapping(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let YamlData::Value(Scalar::String(name)) = &key.data else {
                    return Err((key.span.start.line(), "a key that is not a string".to_owned()));
                };
                let field = join(path, name);
                lines.insert(field.clone(), key.span.start.line());
                map.insert(name.to_string(), convert(item, &field, lines)?);
            }
            Ok(Value::Object(map))
        }
        _ => Err((line, "a YAML tag or an alias that cannot be read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Outer {
        name: String,
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Inner {
        count: u32,
    }

    #[test]
    fn every_unknown_key_and_the_wrong_type_are_found_with_their_lines() {
        let text = "name: a\nnmae: b\ninner:\n  count: many\n  cuont: 1\n";
        let document = Document::parse("x.yaml", text).expect("valid YAML");
        let found: Vec<_> = document.read::<Outer>().expect_err("faults").iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "x.yaml:2: nmae: unknown key `nmae`\n    hint: did you mean `name`?",
                "x.yaml:4: inner.count: expected a whole number of 0 or more, found \"many\"",
            ]
        );
        let fixed = text.replace("many", "1");
        let document = Document::parse("x.yaml", &fixed).expect("valid YAML");
        let found: Vec<_> = document.read::<Outer>().expect_err("faults").iter().map(|d| d.line).collect();
        assert_eq!(found, [2, 5]);
    }

    #[test]
    fn a_duplicate_key_is_a_fault_with_its_line() {
        let fault = Document::parse("x.yaml", "tasks:\n  a: 1\n  a: 2\n").expect_err("duplicate");
        assert_eq!(fault.line, 3, "{fault}");
    }
}
