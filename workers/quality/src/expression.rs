//! The small SQL that conditions over data are written in: a tree of its own, read with sqlparser.
//!
//! The subset has one meaning on Polars frames and in Postgres; what lies outside it is refused by name, never
//! passed on. Comparisons and logic are SQL's, with three truth values. Text compares byte by byte. `/` divides in
//! double precision and gives null for a zero divisor.

mod parse;
pub(crate) mod row_condition;

use std::collections::BTreeSet;

use crate::{text::TextTest, value::Scalar};

/// An expression over the columns of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A column, by its exact name.
    Column(String),
    /// A constant; `None` is null.
    Literal(Option<Scalar>),
    /// `not a`
    Not(Box<Expression>),
    /// `a and b and …`; true where empty.
    And(Vec<Expression>),
    /// `a or b or …`; false where empty.
    Or(Vec<Expression>),
    /// `a < b` and its kin.
    Compare(Comparison, Box<Expression>, Box<Expression>),
    /// `a + b` and its kin.
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
    /// `-a`
    Negate(Box<Expression>),
    /// `a is null`
    IsNull(Box<Expression>),
    /// `a is true`: never null.
    IsTrue(Box<Expression>),
    /// `a in (…)`, over constants.
    In(Box<Expression>, Vec<Scalar>),
    /// `a like pattern`; the flag says that case does not matter.
    Like(Box<Expression>, String, bool),
    /// The text holds a match of the regular expression (Rust's syntax, unanchored).
    Matches(Box<Expression>, String),
    /// The text passes a test. No SQL says so: only expectations make it.
    Test(Box<Expression>, TextTest),
    /// `case when … then … else … end`
    Case(Vec<(Expression, Expression)>, Box<Expression>),
    /// A function of the known few.
    Call(Function, Vec<Expression>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `is not distinct from`: nulls are equal, the result is never null.
    Same,
}

/// How two numbers are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, in double precision
    Divide,
}

/// The functions that an expression may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `abs(number)`
    Abs,
    /// `length(text)`, in characters
    Length,
    /// `lower(text)`
    Lower,
    /// `upper(text)`
    Upper,
    /// `trim(text)`, blanks at both ends
    Trim,
    /// `coalesce(a, b, …)`
    Coalesce,
}

/// The line of an error of the regex parser that says what is wrong; those before it draw where.
pub(crate) fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

impl Function {
    /// Every function with its name in SQL.
    pub const ALL: [(&'static str, Self); 6] = [
        ("abs", Self::Abs),
        ("length", Self::Length),
        ("lower", Self::Lower),
        ("upper", Self::Upper),
        ("trim", Self::Trim),
        ("coalesce", Self::Coalesce),
    ];
}

impl Expression {
    /// A column.
    pub fn column(name: impl Into<String>) -> Self {
        Self::Column(name.into())
    }

    /// A constant.
    pub fn literal(value: Scalar) -> Self {
        Self::Literal(Some(value))
    }

    /// True for every row.
    pub fn always() -> Self {
        Self::And(Vec::new())
    }

    /// `not self`
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// `self is null`
    #[must_use]
    pub fn is_null(self) -> Self {
        Self::IsNull(Box::new(self))
    }

    /// `self is not null`
    #[must_use]
    pub fn is_not_null(self) -> Self {
        self.is_null().negated()
    }

    /// The column, where this says that it has a value and no more.
    pub(crate) fn only_present(&self) -> Option<&str> {
        match self {
            Self::And(parts) | Self::Or(parts) if parts.len() == 1 => parts[0].only_present(),
            Self::Not(inner) => match &**inner {
                Self::IsNull(inner) => match &**inner {
                    Self::Column(name) => Some(name),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Where this asks whether a condition is true (`true`) or is not (`false`), the condition.
    pub(crate) fn truth(&self) -> Option<(&Self, bool)> {
        match self {
            Self::IsTrue(condition) => Some((condition, true)),
            Self::Not(inner) => inner.truth().map(|(condition, asked)| (condition, !asked)),
            _ => None,
        }
    }

    /// Whether `other`, which says what has a value, surely holds of a row where this is true. False where that is not seen.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        match other {
            Self::And(parts) => parts.iter().all(|part| self.implies(part)),
            Self::Or(parts) => parts.iter().any(|part| self.implies(part)),
            Self::Not(inner) => match &**inner {
                Self::IsNull(valued) => self == &**valued || self.needs(valued),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether this is null wherever `part` is. False where that is not seen.
    fn needs(&self, part: &Self) -> bool {
        self == part
            || match self {
                Self::Not(a) | Self::Negate(a) | Self::Like(a, _, _) | Self::Matches(a, _) => a.needs(part),
                // Nothing is in an empty set, null neither.
                Self::In(a, values) => !values.is_empty() && a.needs(part),
                Self::Compare(Comparison::Same, ..) => false,
                Self::Compare(_, a, b) | Self::Arithmetic(_, a, b) => a.needs(part) || b.needs(part),
                // One part that is false makes `and` false, one that is true `or` true, whatever the others are.
                Self::And(parts) | Self::Or(parts) => !parts.is_empty() && parts.iter().all(|one| one.needs(part)),
                Self::Call(Function::Length, parts) => parts.iter().all(|one| one.needs(part)),
                _ => false,
            }
    }

    /// `self is not true`: true where a condition is false or null.
    #[must_use]
    pub fn is_not_true(self) -> Self {
        Self::IsTrue(Box::new(self)).negated()
    }

    /// A comparison.
    #[must_use]
    pub fn compare(self, how: Comparison, other: Self) -> Self {
        Self::Compare(how, Box::new(self), Box::new(other))
    }

    /// The names of all columns in it, in alphabetical order.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.visit(&mut |part| {
            if let Self::Column(name) = part {
                names.insert(name.as_str());
            }
        });
        names
    }

    /// Calls `seen` for this expression and every one inside it.
    pub fn visit<'a>(&'a self, seen: &mut impl FnMut(&'a Self)) {
        seen(self);
        match self {
            Self::Column(_) | Self::Literal(_) => {}
            Self::Not(a) | Self::Negate(a) | Self::IsNull(a) | Self::IsTrue(a) => a.visit(seen),
            Self::In(a, _) | Self::Like(a, _, _) | Self::Matches(a, _) | Self::Test(a, _) => a.visit(seen),
            Self::Compare(_, a, b) | Self::Arithmetic(_, a, b) => {
                a.visit(seen);
                b.visit(seen);
            }
            Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) => parts.iter().for_each(|part| part.visit(seen)),
            Self::Case(branches, otherwise) => {
                for (when, then) in branches {
                    when.visit(seen);
                    then.visit(seen);
                }
                otherwise.visit(seen);
            }
        }
    }
}
