//! A contract as it is written, and as it is proposed.

use serde::Deserialize;
use serde_json::Value;
use workflow::{
    diagnostic::{Problem, did_you_mean},
    yaml::read_value,
};

use super::{ALIASES, ColumnPolicy, Contract, Field, FieldType, OrderPolicy, TYPES, TypePolicy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    columns: ColumnPolicy,
    #[serde(default)]
    types: TypePolicy,
    #[serde(default)]
    order: OrderPolicy,
    fields: Vec<WrittenField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default = "yes")]
    nullable: bool,
}

fn yes() -> bool {
    true
}

/// Reads a contract's arguments.
pub(crate) fn read(written: Value) -> Result<Contract, Vec<Problem>> {
    let written: Written = read_value(written)?;
    let mut problems = Vec::new();
    if written.fields.is_empty() {
        problems.push(Problem::new("fields", "a contract without columns holds nothing"));
    }
    let mut fields: Vec<Field> = Vec::new();
    for (place, WrittenField { name, kind, nullable }) in written.fields.into_iter().enumerate() {
        if fields.iter().any(|known| known.name == name) {
            problems.push(Problem::new(format!("fields[{place}].name"), format!("two columns are named `{name}`")));
        }
        match FieldType::parse(&kind) {
            Ok(kind) => fields.push(Field { name, kind, nullable }),
            Err(problem) => problems.push(Problem { field: format!("fields[{place}].type"), ..problem }),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Contract { fields, columns: written.columns, types: written.types, order: written.order })
}

impl FieldType {
    fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim().to_ascii_lowercase();
        let (name, digits) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest)),
            None => (text.as_str(), None),
        };
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let Some((class, ..)) = TYPES.iter().find(|(known, ..)| *known == name) else {
            let hint = did_you_mean(name, TYPES.iter().map(|(name, ..)| *name));
            return Err(Problem::new("", format!("unknown type `{text}`")).hint(hint));
        };
        let Some(digits) = digits else { return Ok(Self { class, digits: None }) };
        let read = || {
            let (digits, scale) = digits.strip_suffix(')')?.split_once(',')?;
            let pair: (u32, u32) = (digits.trim().parse().ok()?, scale.trim().parse().ok()?);
            (*class == "decimal" && pair.0 > 0 && pair.1 <= pair.0).then_some(pair)
        };
        match read() {
            Some(digits) => Ok(Self { class, digits: Some(digits) }),
            None => Err(Problem::new("", format!("`{text}` is no type"))
                .hint("only decimals have digits, as in `decimal(12,2)`: all of them, then those behind the point")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> FieldType {
        FieldType::parse(text).expect(text)
    }

    #[test]
    fn a_wider_type_holds_all_values() {
        let holds = |wide: &str, narrow: &str| kind(wide).holds(kind(narrow));
        assert!(holds("bigint", "integer") && !holds("integer", "bigint"));
        assert!(holds("double precision", "int4") && !holds("double", "bigint") && !holds("real", "int"));
        assert!(holds("decimal(14,2)", "decimal(12,2)") && !holds("decimal(12,4)", "decimal(12,2)"));
        assert!(holds("decimal(14,4)", "decimal(12,2)") && holds("decimal", "decimal(38,0)"));
        assert!(holds("numeric", "bigint") && holds("decimal(19,0)", "bigint") && !holds("decimal(18,0)", "bigint"));
        assert!(!holds("timestamp", "date") && !holds("text", "int64"));
    }

    #[test]
    fn what_is_no_type_is_told() {
        assert!(FieldType::parse("varchar").is_ok() && kind("Decimal(12, 2)").to_string() == "decimal(12,2)");
        for wrong in ["txt", "text(3)", "decimal(2,3)", "decimal(2)", "decimal(0,0)"] {
            assert!(FieldType::parse(wrong).is_err(), "{wrong}");
        }
    }
}
