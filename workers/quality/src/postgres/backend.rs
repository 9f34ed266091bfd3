//! Expressions in Postgres' terms: identifiers quoted, every value a parameter.

use std::{fmt::Write, sync::Arc};

use super::{regex, tests::Answers};
use crate::{
    expression::{Arithmetic, Comparison, Function},
    text::TextTest,
    types::{Backend, Stored, Type},
    value::Scalar,
};

/// `name` as an identifier, whatever it holds.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value bound to a statement. All go as text and are cast where they stand, so that a decimal keeps its digits.
#[derive(Debug, Clone)]
pub(super) enum Parameter {
    One(String),
    Many(Vec<String>),
}

/// Writes expressions as SQL and collects their parameters.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) parameters: Vec<Parameter>,
    /// What is known of the texts that tests are about.
    pub(super) answers: Arc<Answers>,
}

impl Statement {
    /// A column of a row that has a name of its own.
    pub(super) fn column_of(row: &str, name: &str, kind: Type) -> String {
        format!("{row}.{}", Self::default().column(name, kind))
    }

    pub(super) fn bind(&mut self, parameter: Parameter) -> usize {
        self.parameters.push(parameter);
        self.parameters.len()
    }
}

/// What Postgres calls the type.
pub(super) fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Int => "bigint",
        Type::Decimal(_) => "numeric",
        Type::Float => "double precision",
        Type::Date => "date",
        Type::Timestamp => "timestamp",
        Type::Instant => "timestamptz",
        Type::Time => "time",
        Type::Text | Type::Null | Type::Other => "text",
    }
}

/// The type that conditions see in a Postgres column.
pub(super) fn kind(name: &str, is_enum: bool, modifier: i32) -> Type {
    match name {
        _ if is_enum => Type::Text,
        "bool" => Type::Bool,
        "int2" | "int4" | "int8" => Type::Int,
        // The low eleven bits of a numeric's modifier, which counts from 4, are its scale.
        "numeric" => Type::Decimal(u32::try_from((modifier - 4) & 0x7ff).ok().filter(|_| modifier >= 4).unwrap_or(0)),
        "float4" | "float8" => Type::Float,
        "text" | "varchar" | "bpchar" | "name" | "uuid" => Type::Text,
        "date" => Type::Date,
        "timestamp" => Type::Timestamp,
        "timestamptz" => Type::Instant,
        "time" => Type::Time,
        _ => Type::Other,
    }
}

/// How the column is stored, for checks of types.
pub(super) fn stored(name: &str, modifier: i32) -> Stored {
    let class = match name {
        "bool" => "bool",
        "int2" => "int16",
        "int4" => "int32",
        "int8" => "int64",
        "numeric" => "decimal",
        "float4" => "float32",
        "float8" => "float64",
        "text" => "text",
        "varchar" | "name" => "varchar",
        "bpchar" => "char",
        "date" => "date",
        "timestamp" => "timestamp",
        "timestamptz" => "instant",
        "time" => "time",
        "bytea" => "binary",
        "uuid" | "json" | "jsonb" => name,
        array if array.starts_with('_') => "list",
        _ => "",
    };
    // The modifier of a numeric counts from 4: digits above its low 16 bits, the scale in the low eleven.
    let part = |bits: i32| u32::try_from(bits).ok();
    let digits = match name {
        "numeric" if modifier >= 4 => part((modifier - 4) >> 16).zip(part((modifier - 4) & 0x7ff)),
        _ => None,
    };
    Stored::new(name, class, true).with_digits(digits)
}

/// A constant as Postgres takes it for one: how a text is read as a time depends on the session, so that it would be read
/// anew for each row.
fn once(constant: String, kind: Type) -> String {
    match kind {
        Type::Date | Type::Timestamp | Type::Instant | Type::Time => format!("(select {constant})"),
        _ => constant,
    }
}

impl Backend for Statement {
    type Out = String;

    fn column(&mut self, name: &str, kind: Type) -> String {
        match kind {
            Type::Text => format!("{}::text", quote(name)),
            // A four-byte float compares as the double that it is.
            Type::Float => format!("{}::double precision", quote(name)),
            _ => quote(name),
        }
    }

    fn literal(&mut self, value: Option<&Scalar>, kind: Type) -> String {
        match value {
            None => "null".to_owned(),
            Some(value) => {
                let number = self.bind(Parameter::One(value.to_string()));
                once(format!("${number}::{}", type_name(kind)), kind)
            }
        }
    }

    fn cast(&mut self, value: String, from: Type, to: Type) -> String {
        match (from, to) {
            (Type::Date | Type::Timestamp, Type::Instant) => format!("(({value})::timestamp at time zone 'UTC')"),
            // Postgres has no way from a boolean to other numbers but through four bytes.
            (Type::Bool, Type::Int | Type::Decimal(_) | Type::Float) => format!("({value})::int::{}", type_name(to)),
            _ => format!("({value})::{}", type_name(to)),
        }
    }

    fn not(&mut self, value: String) -> String {
        format!("(not {value})")
    }

    fn all(&mut self, parts: Vec<String>) -> String {
        if parts.is_empty() { "true".to_owned() } else { format!("({})", parts.join(" and ")) }
    }

    fn any(&mut self, parts: Vec<String>) -> String {
        if parts.is_empty() { "false".to_owned() } else { format!("({})", parts.join(" or ")) }
    }

    fn compare(&mut self, how: Comparison, a: String, b: String, kind: Type) -> String {
        let operator = match how {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Same => "is not distinct from",
        };
        // Byte by byte, as frames compare, whatever the database's collation is.
        let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
        format!("({a}{collation} {operator} {b}{collation})")
    }

    fn arithmetic(&mut self, how: Arithmetic, a: String, b: String, _: Type) -> String {
        match how {
            Arithmetic::Add => format!("({a} + {b})"),
            Arithmetic::Subtract => format!("({a} - {b})"),
            Arithmetic::Multiply => format!("({a} * {b})"),
            Arithmetic::Divide => format!("({a} / nullif({b}, 0))"),
        }
    }

    fn negate(&mut self, value: String) -> String {
        format!("(- {value})")
    }

    fn is_null(&mut self, value: String) -> String {
        format!("({value} is null)")
    }

    fn is_true(&mut self, value: String) -> String {
        format!("({value} is true)")
    }

    fn is_in(&mut self, value: String, values: &[Scalar], kind: Type) -> String {
        let number = self.bind(Parameter::Many(values.iter().map(ToString::to_string).collect()));
        let name = type_name(kind);
        format!("({value} = any({}::{name}[]))", once(format!("${number}::text[]::{name}[]"), kind))
    }

    fn like(&mut self, value: String, pattern: &str, any_case: bool) -> String {
        let number = self.bind(Parameter::One(pattern.to_owned()));
        format!("({value} {} ${number}::text)", if any_case { "ilike" } else { "like" })
    }

    fn matches(&mut self, value: String, pattern: &str) -> Result<String, String> {
        let number = self.bind(Parameter::One(regex::translate(pattern)?));
        Ok(format!("({value} collate \"C\" ~ ${number}::text)"))
    }

    fn test(&mut self, value: String, test: &TextTest) -> Result<String, String> {
        let wrong = self.answers.wrong(&value, test)?;
        let number = self.bind(Parameter::Many(wrong.to_vec()));
        Ok(format!("(not ({value} collate \"C\" = any(${number}::text[])))"))
    }

    fn case(&mut self, branches: Vec<(String, String)>, otherwise: String) -> String {
        let mut text = "case".to_owned();
        for (when, then) in branches {
            // Writing to a string cannot fail.
            let _ = write!(text, " when {when} then {then}");
        }
        format!("({text} else {otherwise} end)")
    }

    fn call(&mut self, function: Function, arguments: Vec<String>) -> String {
        let arguments = arguments.join(", ");
        match function {
            Function::Abs => format!("abs({arguments})"),
            Function::Length => format!("char_length({arguments})::bigint"),
            // Frames know all of Unicode; a database in the C locale would change ASCII letters only.
            Function::Lower => format!("lower({arguments} collate \"und-x-icu\")"),
            Function::Upper => format!("upper({arguments} collate \"und-x-icu\")"),
            Function::Trim => format!("btrim({arguments}, ' ')"),
            Function::Coalesce => format!("coalesce({arguments})"),
        }
    }
}
