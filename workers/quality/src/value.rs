//! One value, exact where its type is exact: what a check is given, what it observes, how the two compare.
//!
//! Numbers are whole or decimal (`units` at a power of ten) as long as they can be, so that money is never
//! compared through floating point.

use std::{cmp::Ordering, fmt};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::{Number, Value};

/// A value of a column, of an argument or of an aggregate. Nulls are `Option::None` around it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// `units / 10^scale`; whole numbers have scale 0.
    Decimal {
        /// The digits as a whole number.
        units: i128,
        /// How many of them stand behind the point.
        scale: u32,
    },
    /// Binary floating point.
    Float(f64),
    /// Text.
    Text(String),
    /// A day.
    Date(NaiveDate),
    /// A day and time without a zone.
    Timestamp(NaiveDateTime),
    /// An instant.
    Instant(DateTime<Utc>),
    /// A time of day.
    Time(NaiveTime),
}

impl Scalar {
    /// A whole number.
    pub fn int(value: impl Into<i128>) -> Self {
        Self::Decimal { units: value.into(), scale: 0 }
    }

    /// The exact decimal that `text` writes, such as `-12.50`; a float where it has an exponent or too many digits.
    pub fn number(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = !(whole.is_empty() && fraction.is_empty())
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if plain && let Ok(units) = format!("{whole}{fraction}").parse::<i128>() {
            let scale = u32::try_from(fraction.len()).ok()?;
            return Some(Self::Decimal { units: if text.starts_with('-') { -units } else { units }, scale });
        }
        text.parse().ok().map(Self::Float)
    }

    /// The value that a suite's JSON argument stands for; `None` for null.
    ///
    /// # Errors
    /// Where it is a list or a mapping.
    pub fn from_json(value: &Value) -> Result<Option<Self>, String> {
        match value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(Self::Bool(*value))),
            Value::Number(value) => Ok(Self::number(&value.to_string())),
            Value::String(value) => Ok(Some(Self::Text(value.clone()))),
            Value::Array(_) | Value::Object(_) => Err("expected a single value, found a list or a mapping".to_owned()),
        }
    }

    /// As JSON for people and for `sluice.check_results`: numbers as numbers, times as ISO 8601 text.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Decimal { units, scale: 0 } => {
                i64::try_from(*units).map_or_else(|_| Value::String(units.to_string()), Value::from)
            }
            Self::Decimal { .. } | Self::Float(_) => Number::from_f64(self.as_f64().unwrap_or(f64::NAN))
                .map_or_else(|| self.to_string().into(), Value::Number),
            _ => Value::String(self.to_string()),
        }
    }

    /// The nearest floating-point number, for numbers.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Decimal { units, scale: 0 } => Some(*units as f64),
            // Parsing rounds once; dividing by a power of ten would round twice.
            Self::Decimal { .. } => self.to_string().parse().ok(),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// One number less another: exact for decimals as long as 38 digits hold it.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        if let (Self::Decimal { units: a, scale: s }, Self::Decimal { units: b, scale: t }) = (self, other) {
            let scale = (*s).max(*t);
            let align = |units: i128, own: u32| 10i128.checked_pow(scale - own).and_then(|p| units.checked_mul(p));
            if let (Some(a), Some(b)) = (align(*a, *s), align(*b, *t))
                && let Some(units) = a.checked_sub(b)
            {
                return Self::Decimal { units, scale };
            }
        }
        Self::Float(self.as_f64().unwrap_or(f64::NAN) - other.as_f64().unwrap_or(f64::NAN))
    }

    /// The same number without its sign.
    pub(crate) fn absolute(&self) -> Self {
        match self {
            Self::Decimal { units, scale } => Self::Decimal { units: units.saturating_abs(), scale: *scale },
            Self::Float(value) => Self::Float(value.abs()),
            other => other.clone(),
        }
    }

    /// How two values compare; `None` where their types do not. NaN is above all numbers and equal to itself, as
    /// in Postgres.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Decimal { units: a, scale: s }, Self::Decimal { units: b, scale: t }) => {
                let common = (*s).max(*t);
                let align =
                    |units: i128, scale: u32| 10i128.checked_pow(common - scale).and_then(|p| units.checked_mul(p));
                match (align(*a, *s), align(*b, *t)) {
                    (Some(a), Some(b)) => Some(a.cmp(&b)),
                    _ => self.as_f64()?.partial_cmp(&other.as_f64()?),
                }
            }
            (Self::Decimal { .. } | Self::Float(_), Self::Decimal { .. } | Self::Float(_)) => {
                let (a, b) = (self.as_f64()?, other.as_f64()?);
                Some(a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())))
            }
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Instant(a), Self::Instant(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(out, "{value}"),
            Self::Decimal { units, scale } => {
                let scale = *scale as usize;
                let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if *units < 0 { "-" } else { "" };
                if scale == 0 { write!(out, "{sign}{whole}") } else { write!(out, "{sign}{whole}.{fraction}") }
            }
            Self::Float(value) => write!(out, "{value}"),
            Self::Text(value) => out.write_str(value),
            Self::Date(value) => write!(out, "{value}"),
            Self::Timestamp(value) => write!(out, "{}", value.format("%Y-%m-%dT%H:%M:%S%.f")),
            Self::Instant(value) => write!(out, "{}", value.format("%Y-%m-%dT%H:%M:%S%.fZ")),
            Self::Time(value) => write!(out, "{}", value.format("%H:%M:%S%.f")),
        }
    }
}

/// Reads an ISO 8601 day.
pub(crate) fn read_date(text: &str) -> Option<NaiveDate> {
    text.trim().parse().ok()
}

/// Reads a day and time in ISO 8601, with a blank or a `T` between, seconds and fraction optional; a bare day is
/// its midnight.
pub(crate) fn read_timestamp(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| read_date(text).and_then(|date| date.and_hms_opt(0, 0, 0)))
}

/// Reads an instant: RFC 3339, or a day and time, which is then UTC.
pub(crate) fn read_instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .map(|at| at.to_utc())
        .ok()
        .or_else(|| read_timestamp(text).map(|at| at.and_utc()))
}

/// Reads a time of day.
pub(crate) fn read_time(text: &str) -> Option<NaiveTime> {
    let text = text.trim();
    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for text in ["0", "-12.50", "0.05", "-0.05", "99999999999999999999.99"] {
            let number = Scalar::number(text).expect("a number");
            assert!(matches!(number, Scalar::Decimal { .. }), "{number:?}");
            assert_eq!(number.to_string(), text);
        }
        assert_eq!(Scalar::number("1e3"), Some(Scalar::Float(1000.0)));
        assert_eq!(Scalar::number("."), None);
        assert_eq!(Scalar::number("1.2.3"), None);
    }

    #[test]
    fn decimals_compare_exactly_across_scales() {
        let a = Scalar::number("0.30").expect("a number");
        let b = Scalar::number("0.3").expect("a number");
        let c = Scalar::number("0.3000000000000000001").expect("a number");
        assert_eq!(a.compare(&b), Some(Ordering::Equal));
        assert_eq!(a.compare(&c), Some(Ordering::Less));
        assert_eq!(Scalar::int(1).compare(&Scalar::Float(f64::NAN)), Some(Ordering::Less));
        assert_eq!(Scalar::int(1).compare(&Scalar::Text("1".into())), None);
    }
}
