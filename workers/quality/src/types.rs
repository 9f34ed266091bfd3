//! The types that expressions know, and the one walk that gives an expression its meaning for both engines.
//!
//! [`lower`] decides every type and every conversion; an engine only says how each step is written in its terms. So
//! the two cannot disagree on what is compared with what.

mod stored;

use workflow::diagnostic::did_you_mean;

pub(crate) use stored::Stored;

use crate::{
    expression::{Arithmetic, Comparison, Expression, Function},
    text::TextTest,
    value::{Scalar, read_date, read_instant, read_time, read_timestamp},
};

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    /// Whole numbers of up to 64 bits.
    Int,
    /// Exact numbers with so many digits behind the point.
    Decimal(u32),
    Float,
    Text,
    Date,
    Timestamp,
    Instant,
    Time,
    /// The type of a bare null.
    Null,
    /// Known to be there, good for null checks and equality of whole values only.
    Other,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Int | Self::Decimal(_) | Self::Float => "a number",
            Self::Text => "text",
            Self::Date => "a date",
            Self::Timestamp | Self::Instant => "a timestamp",
            Self::Time => "a time of day",
            Self::Null => "null",
            Self::Other => "a value of a type that conditions cannot use",
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Decimal(_) | Self::Float)
    }

    /// What a column of this type is summed as: true counts 1, and a column of nulls alone sums nothing.
    pub(crate) fn summed_as(self) -> Option<Self> {
        match self {
            Self::Bool | Self::Null => Some(Self::Int),
            kind => kind.is_number().then_some(kind),
        }
    }

    fn of(value: &Scalar) -> Self {
        match value {
            Scalar::Bool(_) => Self::Bool,
            Scalar::Decimal { units, scale: 0 } if i64::try_from(*units).is_ok() => Self::Int,
            Scalar::Decimal { scale, .. } => Self::Decimal(*scale),
            Scalar::Float(_) => Self::Float,
            Scalar::Text(_) => Self::Text,
            Scalar::Date(_) => Self::Date,
            Scalar::Timestamp(_) => Self::Timestamp,
            Scalar::Instant(_) => Self::Instant,
            Scalar::Time(_) => Self::Time,
        }
    }
}

/// The columns of a dataset, in order, with their types.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema(pub(crate) Vec<Column>);

/// One column of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) stored: Stored,
}

impl Schema {
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|column| column.name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Result<Type, String> {
        self.column(name).map(|column| column.kind)
    }

    pub(crate) fn column(&self, name: &str) -> Result<&Column, String> {
        let found = self.0.iter().find(|column| column.name == name);
        found.ok_or_else(|| format!("there is no column `{name}` ({})", did_you_mean(name, self.names())))
    }
}

/// How an engine writes each step. Operands have been brought to the type that is named.
pub(crate) trait Backend {
    type Out;
    fn column(&mut self, name: &str, kind: Type) -> Self::Out;
    fn literal(&mut self, value: Option<&Scalar>, kind: Type) -> Self::Out;
    fn cast(&mut self, value: Self::Out, from: Type, to: Type) -> Self::Out;
    fn not(&mut self, value: Self::Out) -> Self::Out;
    fn all(&mut self, parts: Vec<Self::Out>) -> Self::Out;
    fn any(&mut self, parts: Vec<Self::Out>) -> Self::Out;
    fn compare(&mut self, how: Comparison, a: Self::Out, b: Self::Out, kind: Type) -> Self::Out;
    fn arithmetic(&mut self, how: Arithmetic, a: Self::Out, b: Self::Out, kind: Type) -> Self::Out;
    fn negate(&mut self, value: Self::Out) -> Self::Out;
    fn is_null(&mut self, value: Self::Out) -> Self::Out;
    fn is_true(&mut self, value: Self::Out) -> Self::Out;
    fn is_in(&mut self, value: Self::Out, values: &[Scalar], kind: Type) -> Self::Out;
    fn like(&mut self, value: Self::Out, pattern: &str, any_case: bool) -> Self::Out;
    /// Fails where the engine has no pattern that means the same.
    fn matches(&mut self, value: Self::Out, pattern: &str) -> Result<Self::Out, String>;
    /// Whether a text passes. Fails where the engine could not find out.
    fn test(&mut self, value: Self::Out, test: &TextTest) -> Result<Self::Out, String>;
    fn case(&mut self, branches: Vec<(Self::Out, Self::Out)>, otherwise: Self::Out) -> Self::Out;
    fn call(&mut self, function: Function, arguments: Vec<Self::Out>) -> Self::Out;
}

/// Writes a condition in an engine's terms.
pub(crate) fn condition<B: Backend>(expression: &Expression, schema: &Schema, to: &mut B) -> Result<B::Out, String> {
    let (out, kind) = lower(expression, schema, to)?;
    want(out, kind, Type::Bool, to)
}

/// Writes an expression in an engine's terms, and says its type.
///
/// # Errors
/// Where a column is missing or types do not fit; the text names both.
pub(crate) fn lower<B: Backend>(
    expression: &Expression,
    schema: &Schema,
    to: &mut B,
) -> Result<(B::Out, Type), String> {
    Ok(match expression {
        Expression::Column(name) => {
            let kind = schema.get(name)?;
            (to.column(name, kind), kind)
        }
        Expression::Literal(None) => (to.literal(None, Type::Null), Type::Null),
        Expression::Literal(Some(value)) => {
            let kind = Type::of(value);
            (to.literal(Some(value), kind), kind)
        }
        Expression::Not(inner) => {
            let inner = condition(inner, schema, to)?;
            (to.not(inner), Type::Bool)
        }
        Expression::And(parts) => {
            let parts = parts.iter().map(|part| condition(part, schema, to)).collect::<Result<_, _>>()?;
            (to.all(parts), Type::Bool)
        }
        Expression::Or(parts) => {
            let parts = parts.iter().map(|part| condition(part, schema, to)).collect::<Result<_, _>>()?;
            (to.any(parts), Type::Bool)
        }
        Expression::IsNull(inner) => {
            let (inner, _) = lower(inner, schema, to)?;
            (to.is_null(inner), Type::Bool)
        }
        Expression::IsTrue(inner) => {
            let inner = condition(inner, schema, to)?;
            (to.is_true(inner), Type::Bool)
        }
        Expression::Compare(how, a, b) => {
            let (a, b, kind) = together(a, b, schema, to)?;
            (to.compare(*how, a, b, kind), Type::Bool)
        }
        Expression::Arithmetic(how, a, b) => arithmetic(*how, a, b, schema, to)?,
        Expression::Negate(inner) => {
            let (inner, kind) = lower(inner, schema, to)?;
            if !kind.is_number() {
                return Err(format!("`-` needs a number, found {}", kind.name()));
            }
            (to.negate(inner), kind)
        }
        Expression::In(inner, values) => {
            let (inner, own) = lower(inner, schema, to)?;
            let values = values.iter().map(|value| fit(value, own)).collect::<Result<Vec<_>, _>>()?;
            let kind = values.iter().try_fold(own, |kind, value| unify(kind, Type::of(value)))?;
            let values = values.iter().map(|value| fit(value, kind)).collect::<Result<Vec<_>, _>>()?;
            let inner = want(inner, own, kind, to)?;
            (to.is_in(inner, &values, kind), Type::Bool)
        }
        Expression::Like(inner, pattern, any_case) => {
            let inner = text(inner, "like", schema, to)?;
            (to.like(inner, pattern, *any_case), Type::Bool)
        }
        Expression::Matches(inner, pattern) => {
            let inner = text(inner, "a regular expression", schema, to)?;
            (to.matches(inner, pattern)?, Type::Bool)
        }
        Expression::Test(inner, test) => {
            let inner = text(inner, test.name(), schema, to)?;
            (to.test(inner, test)?, Type::Bool)
        }
        Expression::Case(branches, otherwise) => {
            let mut conditions = Vec::new();
            let mut results = Vec::new();
            for (when, then) in branches {
                conditions.push(condition(when, schema, to)?);
                results.push(lower(then, schema, to)?);
            }
            results.push(lower(otherwise, schema, to)?);
            let (mut results, kind) = alike(results, to)?;
            let otherwise = results.pop().ok_or("`case` without a result")?;
            (to.case(conditions.into_iter().zip(results).collect(), otherwise), kind)
        }
        Expression::Call(Function::Coalesce, arguments) => {
            let arguments = arguments.iter().map(|a| lower(a, schema, to)).collect::<Result<_, _>>()?;
            let (arguments, kind) = alike(arguments, to)?;
            (to.call(Function::Coalesce, arguments), kind)
        }
        Expression::Call(Function::Abs, arguments) => {
            let [argument] = arguments.as_slice() else { return Err("`abs` takes one argument".to_owned()) };
            let (argument, kind) = lower(argument, schema, to)?;
            if !kind.is_number() {
                return Err(format!("`abs` needs a number, found {}", kind.name()));
            }
            (to.call(Function::Abs, vec![argument]), kind)
        }
        Expression::Call(function, arguments) => {
            let name = Function::ALL.iter().find(|(_, known)| known == function).map_or("", |(name, _)| name);
            let [argument] = arguments.as_slice() else { return Err(format!("`{name}` takes one argument")) };
            let argument = text(argument, name, schema, to)?;
            let kind = if *function == Function::Length { Type::Int } else { Type::Text };
            (to.call(*function, vec![argument]), kind)
        }
    })
}

fn text<B: Backend>(inner: &Expression, what: &str, schema: &Schema, to: &mut B) -> Result<B::Out, String> {
    let (inner, kind) = lower(inner, schema, to)?;
    match kind {
        Type::Text => Ok(inner),
        Type::Null => want(inner, kind, Type::Text, to),
        _ => Err(format!("{what} needs text, found {}", kind.name())),
    }
}

/// Both sides in their common type. A text constant beside a date or a time is read as one.
fn together<B: Backend>(
    a: &Expression,
    b: &Expression,
    schema: &Schema,
    to: &mut B,
) -> Result<(B::Out, B::Out, Type), String> {
    match (a, b) {
        (Expression::Literal(Some(constant)), other) if !matches!(other, Expression::Literal(_)) => {
            let (other, kind) = lower(other, schema, to)?;
            let (constant, other, kind) = beside(constant, other, kind, to)?;
            Ok((constant, other, kind))
        }
        (other, Expression::Literal(Some(constant))) => {
            let (other, kind) = lower(other, schema, to)?;
            let (constant, other, kind) = beside(constant, other, kind, to)?;
            Ok((other, constant, kind))
        }
        (a, b) => {
            let (a, a_kind) = lower(a, schema, to)?;
            let (b, b_kind) = lower(b, schema, to)?;
            let kind = unify(a_kind, b_kind)?;
            Ok((want(a, a_kind, kind, to)?, want(b, b_kind, kind, to)?, kind))
        }
    }
}

fn beside<B: Backend>(
    constant: &Scalar,
    other: B::Out,
    kind: Type,
    to: &mut B,
) -> Result<(B::Out, B::Out, Type), String> {
    let constant = fit(constant, kind)?;
    let common = unify(kind, Type::of(&constant))?;
    let constant = fit(&constant, common)?;
    let constant = to.literal(Some(&constant), common);
    Ok((constant, want(other, kind, common, to)?, common))
}

fn alike<B: Backend>(parts: Vec<(B::Out, Type)>, to: &mut B) -> Result<(Vec<B::Out>, Type), String> {
    let kind = parts.iter().try_fold(Type::Null, |kind, (_, part)| unify(kind, *part))?;
    let parts = parts.into_iter().map(|(out, from)| want(out, from, kind, to)).collect::<Result<_, _>>()?;
    Ok((parts, kind))
}

fn arithmetic<B: Backend>(
    how: Arithmetic,
    a: &Expression,
    b: &Expression,
    schema: &Schema,
    to: &mut B,
) -> Result<(B::Out, Type), String> {
    let (a, a_kind) = lower(a, schema, to)?;
    let (b, b_kind) = lower(b, schema, to)?;
    for kind in [a_kind, b_kind] {
        if !kind.is_number() && kind != Type::Null {
            return Err(format!("arithmetic needs numbers, found {}", kind.name()));
        }
    }
    let scale = |kind| if let Type::Decimal(scale) = kind { scale } else { 0 };
    let kind = match (how, a_kind, b_kind) {
        (Arithmetic::Divide, _, _) | (_, Type::Float, _) | (_, _, Type::Float) => Type::Float,
        // Whole numbers too are added and multiplied as decimals: 64 bits could overflow without a word.
        (Arithmetic::Multiply, _, _) => Type::Decimal(scale(a_kind) + scale(b_kind)),
        _ => Type::Decimal(scale(a_kind).max(scale(b_kind))),
    };
    let (a, b) = (want(a, a_kind, kind, to)?, want(b, b_kind, kind, to)?);
    Ok((to.arithmetic(how, a, b, kind), kind))
}

fn want<B: Backend>(value: B::Out, from: Type, wanted: Type, to: &mut B) -> Result<B::Out, String> {
    if from == wanted {
        return Ok(value);
    }
    if unify(from, wanted)? != wanted {
        return Err(format!("expected {}, found {}", wanted.name(), from.name()));
    }
    Ok(to.cast(value, from, wanted))
}

/// The type that holds values of both.
fn unify(a: Type, b: Type) -> Result<Type, String> {
    Ok(match (a, b) {
        (a, b) if a == b && a != Type::Other => a,
        (Type::Null, other) | (other, Type::Null) => other,
        (Type::Float, other) | (other, Type::Float) if other.is_number() => Type::Float,
        (Type::Decimal(a), Type::Decimal(b)) => Type::Decimal(a.max(b)),
        (Type::Decimal(scale), Type::Int) | (Type::Int, Type::Decimal(scale)) => Type::Decimal(scale),
        (Type::Date, other @ (Type::Timestamp | Type::Instant))
        | (other @ (Type::Timestamp | Type::Instant), Type::Date) => other,
        (Type::Timestamp, Type::Instant) | (Type::Instant, Type::Timestamp) => Type::Instant,
        (a, b) => return Err(format!("cannot compare {} with {}", a.name(), b.name())),
    })
}

/// The type that values of both are compared in.
pub(crate) fn common(a: Type, b: Type) -> Result<Type, String> {
    unify(a, b)
}

/// A constant as a value of `kind`, where it can be one; else as it is. Text that stands for no date is an error.
fn fit(value: &Scalar, kind: Type) -> Result<Scalar, String> {
    let midnight = |date: &chrono::NaiveDate| date.and_hms_opt(0, 0, 0).ok_or("no midnight");
    Ok(match (kind, value) {
        (Type::Date, Scalar::Text(text)) => match (read_date(text), read_timestamp(text)) {
            (Some(date), _) => Scalar::Date(date),
            (None, Some(at)) => Scalar::Timestamp(at),
            (None, None) => return Err(format!("`{text}` is not a date")),
        },
        (Type::Timestamp, Scalar::Text(text)) => {
            Scalar::Timestamp(read_timestamp(text).ok_or_else(|| format!("`{text}` is not a timestamp"))?)
        }
        (Type::Instant, Scalar::Text(text)) => {
            Scalar::Instant(read_instant(text).ok_or_else(|| format!("`{text}` is not a timestamp"))?)
        }
        (Type::Time, Scalar::Text(text)) => {
            Scalar::Time(read_time(text).ok_or_else(|| format!("`{text}` is not a time of day"))?)
        }
        (Type::Timestamp, Scalar::Date(date)) => Scalar::Timestamp(midnight(date)?),
        (Type::Instant, Scalar::Date(date)) => Scalar::Instant(midnight(date)?.and_utc()),
        (Type::Instant, Scalar::Timestamp(at)) => Scalar::Instant(at.and_utc()),
        (Type::Float, Scalar::Decimal { .. }) => Scalar::Float(value.as_f64().ok_or("not a number")?),
        (Type::Decimal(wanted), Scalar::Decimal { units, scale }) if *scale < wanted => {
            10i128.checked_pow(wanted - scale).and_then(|power| units.checked_mul(power)).map_or_else(
                || Err(format!("{value} has too many digits")),
                |units| Ok(Scalar::Decimal { units, scale: wanted }),
            )?
        }
        _ => value.clone(),
    })
}

/// A bound as a value that aggregates of `kind` compare with.
pub(crate) fn bound(value: &Scalar, kind: Type) -> Result<Scalar, String> {
    fit(value, kind)
}
