//! The part of JSON Schema that describes data: types, values, bounds, members, combinations, local references.
//!
//! A keyword outside of it is refused by name when the suite is read; none is passed over in silence, but for those
//! that only annotate.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Map, Value};

/// Keywords that say nothing about a value.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// References that lead to each other without end stop here.
const DEPTH: usize = 64;

/// A schema that was read without a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonSchema {
    root: Value,
}

impl JsonSchema {
    /// Checks a schema.
    ///
    /// # Errors
    /// Where a keyword is unknown or its value is not what it takes.
    pub fn read(schema: &Value) -> Result<Self, String> {
        check(schema, schema)?;
        Ok(Self { root: schema.clone() })
    }

    /// Whether `value` meets it.
    pub fn holds(&self, value: &Value) -> bool {
        self.meets(&self.root, value, 0)
    }

    fn meets(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        match schema {
            Value::Bool(all) => *all,
            Value::Object(keywords) if depth < DEPTH => {
                keywords.iter().all(|(keyword, argument)| self.keyword(keywords, keyword, argument, value, depth + 1))
            }
            _ => false,
        }
    }

    fn keyword(
        &self,
        keywords: &Map<String, Value>,
        keyword: &str,
        argument: &Value,
        value: &Value,
        depth: usize,
    ) -> bool {
        let each = || argument.as_array().map_or(&[][..], Vec::as_slice);
        let met = |schema: &Value| self.meets(schema, value, depth);
        let length = |actual: usize, how: fn(&u64, &u64) -> bool| {
            argument.as_u64().is_some_and(|bound| how(&(actual as u64), &bound))
        };
        // A bound is about values of its own type only.
        match (keyword, value) {
            ("type", _) => match argument {
                Value::String(name) => is_a(value, name),
                _ => each().iter().filter_map(Value::as_str).any(|name| is_a(value, name)),
            },
            ("enum", _) => each().iter().any(|known| equal(known, value)),
            ("const", _) => equal(argument, value),
            ("allOf", _) => each().iter().all(met),
            ("anyOf", _) => each().iter().any(met),
            ("oneOf", _) => each().iter().filter(|schema| met(schema)).count() == 1,
            ("not", _) => !met(argument),
            ("if", _) => keywords.get(if met(argument) { "then" } else { "else" }).is_none_or(met),
            ("$ref", _) => argument.as_str().and_then(|path| resolve(&self.root, path)).is_some_and(met),
            ("minimum", Value::Number(_)) => order(value, argument).is_some_and(Ordering::is_ge),
            ("maximum", Value::Number(_)) => order(value, argument).is_some_and(Ordering::is_le),
            ("exclusiveMinimum", Value::Number(_)) => order(value, argument).is_some_and(Ordering::is_gt),
            ("exclusiveMaximum", Value::Number(_)) => order(value, argument).is_some_and(Ordering::is_lt),
            ("multipleOf", Value::Number(_)) => multiple(value, argument),
            ("minLength", Value::String(text)) => length(text.chars().count(), u64::ge),
            ("maxLength", Value::String(text)) => length(text.chars().count(), u64::le),
            ("pattern", Value::String(text)) => {
                argument.as_str().and_then(|pattern| Regex::new(pattern).ok()).is_some_and(|known| known.is_match(text))
            }
            ("minItems", Value::Array(items)) => length(items.len(), u64::ge),
            ("maxItems", Value::Array(items)) => length(items.len(), u64::le),
            ("uniqueItems", Value::Array(items)) => {
                argument != &Value::Bool(true)
                    || items.iter().enumerate().all(|(place, a)| items[..place].iter().all(|b| !equal(a, b)))
            }
            ("prefixItems", Value::Array(items)) => {
                each().iter().zip(items).all(|(schema, item)| self.meets(schema, item, depth))
            }
            ("items", Value::Array(items)) => {
                let before = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                items.iter().skip(before).all(|item| self.meets(argument, item, depth))
            }
            ("contains", Value::Array(items)) => items.iter().any(|item| self.meets(argument, item, depth)),
            ("minProperties", Value::Object(members)) => length(members.len(), u64::ge),
            ("maxProperties", Value::Object(members)) => length(members.len(), u64::le),
            ("required", Value::Object(members)) => {
                each().iter().filter_map(Value::as_str).all(|name| members.contains_key(name))
            }
            ("properties", Value::Object(members)) => argument.as_object().is_some_and(|known| {
                known
                    .iter()
                    .all(|(name, schema)| members.get(name).is_none_or(|member| self.meets(schema, member, depth)))
            }),
            ("propertyNames", Value::Object(members)) => {
                members.keys().all(|name| self.meets(argument, &Value::String(name.clone()), depth))
            }
            ("additionalProperties", Value::Object(members)) => {
                let known = keywords.get("properties").and_then(Value::as_object);
                members
                    .iter()
                    .filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)))
                    .all(|(_, member)| self.meets(argument, member, depth))
            }
            // A bound of another type, a keyword that only annotates, and `then` and `else`, which `if` asks for.
            _ => true,
        }
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("number", Value::Number(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// 1 and 1.0 are the same number; the order of members does not count.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => order(a, b).is_some_and(Ordering::is_eq),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn multiple(value: &Value, of: &Value) -> bool {
    if let (Some(value), Some(of)) = (value.as_i64(), of.as_i64()) {
        return of != 0 && value % of == 0;
    }
    let (Some(value), Some(of)) = (value.as_f64(), of.as_f64()) else { return false };
    let quotient = value / of;
    (quotient - quotient.round()).abs() <= 1e-9 * quotient.abs().max(1.0)
}

/// The schema at `#/…` of the same document.
fn resolve<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    root.pointer(path.strip_prefix('#')?)
}

fn check(root: &Value, schema: &Value) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(keywords) => keywords,
        _ => return Err(format!("a schema is a mapping, found `{schema}`")),
    };
    for (keyword, argument) in keywords {
        let wrong = |wanted: &str| Err(format!("`{keyword}` takes {wanted}, found `{argument}`"));
        match keyword.as_str() {
            "$defs" | "definitions" | "properties" => {
                let Some(members) = argument.as_object() else { return wrong("schemas by name") };
                members.values().try_for_each(|member| check(root, member))?;
            }
            "items" | "contains" | "additionalProperties" | "propertyNames" | "not" | "if" | "then" | "else" => {
                check(root, argument)?;
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let Some(schemas) = argument.as_array() else { return wrong("a list of schemas") };
                schemas.iter().try_for_each(|schema| check(root, schema))?;
            }
            "type" => {
                const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
                let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
                if !(known(argument) || argument.as_array().is_some_and(|names| names.iter().all(known))) {
                    return wrong("the name of a type, or a list of them");
                }
            }
            "enum" | "required" if !argument.is_array() => return wrong("a list"),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" if !argument.is_number() => {
                return wrong("a number");
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
                if !argument.is_u64() =>
            {
                return wrong("a whole number");
            }
            "uniqueItems" if !argument.is_boolean() => return wrong("true or false"),
            "pattern" => match argument.as_str().map(Regex::new) {
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let error = crate::expression::last_line(&error);
                    return Err(format!("`pattern` is not a regular expression: {error}"));
                }
                None => return wrong("a regular expression"),
            },
            "$ref" if argument.as_str().and_then(|path| resolve(root, path)).is_none() => {
                return wrong("the place of a schema in the same document");
            }
            "enum" | "const" | "required" | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum"
            | "multipleOf" | "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" | "uniqueItems" | "$ref" => {}
            annotation if ANNOTATIONS.contains(&annotation) => {}
            other => return Err(format!("the keyword `{other}` of JSON Schema is not known here")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_hold_and_do_not() {
        let schema = JsonSchema::read(&json!({
            "$defs": { "money": { "type": "number", "minimum": 0, "multipleOf": 0.01 } },
            "type": "object",
            "required": ["id", "lines"],
            "properties": {
                "id": { "type": "integer", "exclusiveMinimum": 0 },
                "status": { "enum": ["open", "paid"] },
                "total": { "$ref": "#/$defs/money" },
                "lines": { "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "pattern": "^[a-z]+$" } },
            },
            "additionalProperties": false,
        }))
        .expect("a schema");
        let good = [json!({ "id": 1, "lines": ["a"] }), json!({ "id": 2.0, "lines": ["a", "b"], "total": 1.15 })];
        let bad = [
            json!([]),
            json!({ "id": 0, "lines": ["a"] }),
            json!({ "id": 1.5, "lines": ["a"] }),
            json!({ "id": 1, "lines": [] }),
            json!({ "id": 1, "lines": ["a", "a"] }),
            json!({ "id": 1, "lines": ["A"] }),
            json!({ "id": 1, "lines": ["a"], "total": 1.155 }),
            json!({ "id": 1, "lines": ["a"], "status": "lost" }),
            json!({ "id": 1, "lines": ["a"], "more": 1 }),
        ];
        for value in good {
            assert!(schema.holds(&value), "{value}");
        }
        for value in bad {
            assert!(!schema.holds(&value), "{value}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_a_circle_ends() {
        let fault = |schema: Value| JsonSchema::read(&schema).expect_err("a fault");
        assert_eq!(fault(json!({ "typ": "string" })), "the keyword `typ` of JSON Schema is not known here");
        assert!(fault(json!({ "properties": { "a": { "type": "text" } } })).starts_with("`type` takes"));
        let circle = JsonSchema::read(&json!({ "$ref": "#" })).expect("a schema");
        assert!(!circle.holds(&json!(1)));
    }
}
