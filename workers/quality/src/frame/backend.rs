//! Expressions in Polars' terms, and Polars' values in ours.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Timelike};
use polars::prelude::{
    AnyValue, BooleanChunked, Column, DataType, Expr, Field, IntoColumn, NULL, Scalar as PolarsScalar, Series,
    TimeUnit, TimeZone, coalesce, col, lit, when,
};
use regex::escape;

use crate::{
    expression::{Arithmetic, Comparison, Function},
    text::TextTest,
    types::{Backend, Schema, Stored, Type},
    value::Scalar,
};

/// The widest decimal of Polars.
const DIGITS: usize = 38;

/// The type that conditions see in a Polars column.
pub(super) fn kind(dtype: &DataType) -> Type {
    match dtype {
        DataType::Boolean => Type::Bool,
        // 64 bits without a sign do not fit the signed ones that other whole numbers are compared as.
        DataType::UInt64 => Type::Decimal(0),
        dtype if dtype.is_integer() => Type::Int,
        DataType::Decimal(_, scale) => Type::Decimal(u32::try_from(*scale).unwrap_or(0)),
        DataType::Float32 | DataType::Float64 => Type::Float,
        DataType::String => Type::Text,
        DataType::Date => Type::Date,
        DataType::Datetime(_, None) => Type::Timestamp,
        DataType::Datetime(_, Some(_)) => Type::Instant,
        DataType::Time => Type::Time,
        DataType::Null => Type::Null,
        _ => Type::Other,
    }
}

/// How the column is stored, for checks of types.
pub(super) fn stored(dtype: &DataType) -> Stored {
    let class = match dtype {
        DataType::Boolean => "bool",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Decimal(..) => "decimal",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::String => "text",
        DataType::Date => "date",
        DataType::Datetime(_, None) => "timestamp",
        DataType::Datetime(_, Some(_)) => "instant",
        DataType::Time => "time",
        DataType::Binary => "binary",
        DataType::List(_) => "list",
        _ => "",
    };
    let digits = match dtype {
        DataType::Decimal(digits, scale) => u32::try_from(*digits).ok().zip(u32::try_from(*scale).ok()),
        _ => None,
    };
    Stored::new(dtype.to_string(), class, false).with_digits(digits)
}

fn dtype(kind: Type) -> DataType {
    match kind {
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int64,
        Type::Decimal(scale) => DataType::Decimal(DIGITS, scale as usize),
        Type::Float => DataType::Float64,
        Type::Text => DataType::String,
        Type::Date => DataType::Date,
        Type::Timestamp => DataType::Datetime(TimeUnit::Microseconds, None),
        Type::Instant => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
        Type::Time => DataType::Time,
        Type::Null | Type::Other => DataType::Null,
    }
}

/// Writes expressions for Polars. Columns go by position, so that a name that Polars would read as a pattern
/// (`*`, `^…$`) is a name like any other.
pub(super) struct Frames<'a> {
    pub(super) schema: &'a Schema,
    pub(super) dtypes: &'a [DataType],
}

/// The name that the column at `index` has while it is being checked.
pub(super) fn positional(index: usize) -> String {
    format!("c{index}")
}

/// The index that a positional name stands for.
pub(super) fn position(name: &str) -> Option<usize> {
    name.strip_prefix('c')?.parse().ok()
}

impl Frames<'_> {
    pub(super) fn index(&self, name: &str) -> usize {
        self.schema.names().position(|known| known == name).unwrap_or_default()
    }

    /// The column as it is stored.
    pub(super) fn raw(&self, name: &str) -> Expr {
        col(positional(self.index(name)))
    }

    /// The column as something that groups are made by: Polars makes none by decimals, so those go by their digits.
    pub(super) fn key(&self, name: &str) -> Expr {
        match self.dtypes[self.index(name)] {
            DataType::Decimal(..) => self.raw(name).cast(DataType::String),
            _ => self.raw(name),
        }
    }
}

impl Backend for Frames<'_> {
    type Out = Expr;

    fn column(&mut self, name: &str, kind: Type) -> Expr {
        let stored = &self.dtypes[self.index(name)];
        let plain = matches!(kind, Type::Int | Type::Other | Type::Null | Type::Bool);
        let same_decimal =
            matches!((stored, kind), (DataType::Decimal(_, scale), Type::Decimal(wanted)) if *scale == wanted as usize);
        if plain || same_decimal || *stored == dtype(kind) { self.raw(name) } else { self.raw(name).cast(dtype(kind)) }
    }

    fn literal(&mut self, value: Option<&Scalar>, kind: Type) -> Expr {
        match value {
            None => lit(NULL),
            Some(Scalar::Bool(value)) => lit(*value),
            // An untyped whole number takes the type of the column beside it, which is then not widened.
            Some(Scalar::Decimal { units, scale: 0 }) if kind == Type::Int => {
                i64::try_from(*units).map_or_else(|_| lit(NULL), lit)
            }
            Some(Scalar::Float(value)) => lit(*value),
            Some(Scalar::Text(value)) => lit(value.as_str()),
            Some(other) => lit(PolarsScalar::new(dtype(kind), any_value(other, kind))),
        }
    }

    fn cast(&mut self, value: Expr, _: Type, to: Type) -> Expr {
        value.cast(dtype(to))
    }

    fn not(&mut self, value: Expr) -> Expr {
        value.not()
    }

    fn all(&mut self, parts: Vec<Expr>) -> Expr {
        parts.into_iter().reduce(Expr::and).unwrap_or_else(|| lit(true))
    }

    fn any(&mut self, parts: Vec<Expr>) -> Expr {
        parts.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false))
    }

    fn compare(&mut self, how: Comparison, a: Expr, b: Expr, _: Type) -> Expr {
        match how {
            Comparison::Equal => a.eq(b),
            Comparison::NotEqual => a.neq(b),
            Comparison::Less => a.lt(b),
            Comparison::LessOrEqual => a.lt_eq(b),
            Comparison::Greater => a.gt(b),
            Comparison::GreaterOrEqual => a.gt_eq(b),
            Comparison::Same => a.eq_missing(b),
        }
    }

    fn arithmetic(&mut self, how: Arithmetic, a: Expr, b: Expr, kind: Type) -> Expr {
        // The result of Polars' decimal arithmetic has the greater scale of the two, and both have `kind`'s.
        match how {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide => {
                let zero = self.literal(Some(&Scalar::Float(0.0)), kind);
                a / when(b.clone().neq(zero)).then(b).otherwise(lit(NULL))
            }
        }
    }

    fn negate(&mut self, value: Expr) -> Expr {
        -value
    }

    fn is_null(&mut self, value: Expr) -> Expr {
        value.is_null()
    }

    fn is_true(&mut self, value: Expr) -> Expr {
        value.fill_null(lit(false))
    }

    fn is_in(&mut self, value: Expr, values: &[Scalar], kind: Type) -> Expr {
        const FEW: usize = 8;
        // Polars looks up decimals and times in no set.
        let looked_up = matches!(kind, Type::Int | Type::Text | Type::Float | Type::Date);
        if values.len() <= FEW || !looked_up {
            let equal = values.iter().map(|one| value.clone().eq(self.literal(Some(one), kind))).collect();
            return self.any(equal);
        }
        let set: Vec<_> = values.iter().map(|value| any_value(value, kind)).collect();
        match Series::from_any_values_and_dtype("".into(), &set, &dtype(kind), true) {
            Ok(set) => value.cast(dtype(kind)).is_in(lit(set).implode(false), false),
            Err(_) => lit(NULL),
        }
    }

    fn like(&mut self, value: Expr, pattern: &str, any_case: bool) -> Expr {
        let flags = if any_case { "(?si)" } else { "(?s)" };
        value.str().contains(lit(format!("{flags}^{}$", like_to_regex(pattern))), true)
    }

    fn matches(&mut self, value: Expr, pattern: &str) -> Result<Expr, String> {
        Ok(value.str().contains(lit(pattern), true))
    }

    fn test(&mut self, value: Expr, test: &TextTest) -> Result<Expr, String> {
        let test = test.clone();
        let mask = move |column: Column| {
            let texts = column.str()?;
            let passes: BooleanChunked = texts.iter().map(|text| text.map(|text| test.holds(text))).collect();
            Ok(passes.with_name(column.name().clone()).into_column())
        };
        Ok(value.map(mask, |_, field| Ok(Field::new(field.name().clone(), DataType::Boolean))))
    }

    fn case(&mut self, branches: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
        branches.into_iter().rev().fold(otherwise, |rest, (condition, then)| when(condition).then(then).otherwise(rest))
    }

    fn call(&mut self, function: Function, arguments: Vec<Expr>) -> Expr {
        let first = || arguments.first().cloned().unwrap_or_else(|| lit(NULL));
        match function {
            Function::Abs => when(first().lt(lit(0))).then(-first()).otherwise(first()),
            Function::Length => first().str().len_chars().cast(DataType::Int64),
            Function::Lower => first().str().to_lowercase(),
            Function::Upper => first().str().to_uppercase(),
            Function::Trim => first().str().strip_chars(lit(" ")),
            Function::Coalesce => coalesce(&arguments),
        }
    }
}

/// The regular expression that a `like` pattern means; `\` takes the meaning from the character after it.
fn like_to_regex(pattern: &str) -> String {
    let mut regex = String::with_capacity(pattern.len() * 2);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => regex.push_str(&escape(characters.next().unwrap_or('\\').encode_utf8(&mut [0; 4]))),
            other => regex.push_str(&escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex
}

fn days(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

fn any_value(value: &Scalar, kind: Type) -> AnyValue<'static> {
    match value {
        Scalar::Bool(value) => AnyValue::Boolean(*value),
        Scalar::Decimal { units, scale: 0 } if kind == Type::Int => {
            i64::try_from(*units).map_or(AnyValue::Null, AnyValue::Int64)
        }
        Scalar::Decimal { units, scale } => AnyValue::Decimal(*units, DIGITS, *scale as usize),
        Scalar::Float(value) => AnyValue::Float64(*value),
        Scalar::Text(value) => AnyValue::StringOwned(value.as_str().into()),
        Scalar::Date(date) => AnyValue::Date(days(*date)),
        Scalar::Timestamp(at) => AnyValue::Datetime(at.and_utc().timestamp_micros(), TimeUnit::Microseconds, None),
        Scalar::Instant(at) => {
            AnyValue::DatetimeOwned(at.timestamp_micros(), TimeUnit::Microseconds, Some(TimeZone::UTC.into()))
        }
        Scalar::Time(time) => {
            AnyValue::Time(i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond()))
        }
    }
}

/// A value of a frame; `None` for null. What has no type of ours comes as text.
pub(super) fn scalar(value: &AnyValue<'_>) -> Option<Scalar> {
    let instant = |value: i64, unit: TimeUnit| match unit {
        TimeUnit::Nanoseconds => Some(DateTime::from_timestamp_nanos(value)),
        TimeUnit::Microseconds => DateTime::from_timestamp_micros(value),
        TimeUnit::Milliseconds => DateTime::from_timestamp_millis(value),
    };
    Some(match value {
        AnyValue::Null => return None,
        AnyValue::Boolean(value) => Scalar::Bool(*value),
        AnyValue::Decimal(units, _, scale) => {
            Scalar::Decimal { units: *units, scale: u32::try_from(*scale).unwrap_or_default() }
        }
        AnyValue::Float32(value) => Scalar::Float(f64::from(*value)),
        AnyValue::Float64(value) => Scalar::Float(*value),
        AnyValue::String(text) => Scalar::Text((*text).to_owned()),
        AnyValue::StringOwned(text) => Scalar::Text(text.to_string()),
        AnyValue::Date(days) => {
            let days = i64::from(*days);
            let epoch = NaiveDate::default();
            let offset = Days::new(days.unsigned_abs());
            let date = if days < 0 { epoch.checked_sub_days(offset) } else { epoch.checked_add_days(offset) };
            Scalar::Date(date?)
        }
        AnyValue::Datetime(at, unit, None) | AnyValue::DatetimeOwned(at, unit, None) => {
            Scalar::Timestamp(instant(*at, *unit)?.naive_utc())
        }
        AnyValue::Datetime(at, unit, Some(_)) | AnyValue::DatetimeOwned(at, unit, Some(_)) => {
            Scalar::Instant(instant(*at, *unit)?)
        }
        AnyValue::Time(nanoseconds) => {
            let seconds = u32::try_from(nanoseconds / 1_000_000_000).ok()?;
            let rest = u32::try_from(nanoseconds % 1_000_000_000).ok()?;
            Scalar::Time(NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest)?)
        }
        other if other.is_integer() => Scalar::int(other.extract::<i128>()?),
        other => Scalar::Text(other.to_string()),
    })
}
