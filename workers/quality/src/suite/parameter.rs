//! Arguments that are computed: `{ $PARAMETER: now() - timedelta(weeks=52) }`, as Great Expectations has them, with
//! the suite's own named parameters.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use workflow::diagnostic::{Problem, did_you_mean};

const KEY: &str = "$PARAMETER";

/// What parameters are computed from.
pub(super) struct Known<'a> {
    /// The suite's, by name.
    pub(super) named: &'a Map<String, Value>,
    /// What `now()` is.
    pub(super) now: DateTime<Utc>,
}

/// Whether there is a parameter anywhere in it.
pub(super) fn is_in(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(KEY) || map.values().any(is_in),
        Value::Array(items) => items.iter().any(is_in),
        _ => false,
    }
}

/// The arguments with each parameter's value in its place.
pub(super) fn resolve(arguments: Map<String, Value>, known: &Known<'_>) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut faults = Vec::new();
    let resolved = arguments
        .into_iter()
        .map(|(key, value)| {
            let value = replaced(value, known).unwrap_or_else(|fault| {
                faults.push(
                    Problem::new(&key, fault)
                        .hint("a parameter is a name, a number, now(), datetime(…) or timedelta(…), or a sum of them"),
                );
                Value::Null
            });
            (key, value)
        })
        .collect();
    if faults.is_empty() { Ok(resolved) } else { Err(faults) }
}

fn replaced(value: Value, known: &Known<'_>) -> Result<Value, String> {
    match value {
        Value::Object(map) => match map.get(KEY) {
            Some(Value::String(text)) => {
                let defaults: Map<_, _> = map
                    .iter()
                    .filter_map(|(key, value)| Some((key.strip_prefix("$PARAMETER.")?.to_owned(), value.clone())))
                    .collect();
                evaluate(text, &defaults, known)
            }
            Some(other) => Err(format!("`{KEY}` is a text, found `{other}`")),
            None => map.into_iter().map(|(key, value)| Ok((key, replaced(value, known)?))).collect(),
        },
        Value::Array(items) => items.into_iter().map(|item| replaced(item, known)).collect(),
        other => Ok(other),
    }
}

fn evaluate(text: &str, defaults: &Map<String, Value>, known: &Known<'_>) -> Result<Value, String> {
    let mut reader = Reader { rest: text.trim(), defaults, known };
    let found = reader.sum()?;
    if !reader.rest.is_empty() {
        return Err(format!("expected the end of the parameter, found `{}`", reader.rest));
    }
    Ok(match found {
        // As it is written: a whole number has no point.
        Found::Number(number) => {
            serde_json::from_str(&number.to_string()).map_err(|_| "the number is out of range".to_owned())?
        }
        Found::Moment(at) => Value::from(at.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
        Found::Span(_) => return Err("a span of time is no value; add it to a time".to_owned()),
        Found::Other(value) => value,
    })
}

enum Found {
    Number(f64),
    Moment(NaiveDateTime),
    Span(TimeDelta),
    Other(Value),
}

struct Reader<'a> {
    rest: &'a str,
    defaults: &'a Map<String, Value>,
    known: &'a Known<'a>,
}

impl Reader<'_> {
    fn takes(&mut self, sign: char) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Result<Found, String> {
        let mut left = self.product()?;
        loop {
            let sign = if self.takes('+') {
                1
            } else if self.takes('-') {
                -1
            } else {
                return Ok(left);
            };
            let right = self.product()?;
            left = match (left, right) {
                (Found::Number(a), Found::Number(b)) => Found::Number(a + f64::from(sign) * b),
                (Found::Moment(at), Found::Span(span)) => {
                    Found::Moment(at.checked_add_signed(span * sign).ok_or("the time is out of range")?)
                }
                (Found::Span(a), Found::Span(b)) => Found::Span(a + b * sign),
                _ => return Err("only numbers, and times with spans, are added".to_owned()),
            };
        }
    }

    fn product(&mut self) -> Result<Found, String> {
        let mut left = self.value()?;
        loop {
            let multiplies = self.takes('*');
            if !multiplies && !self.takes('/') {
                return Ok(left);
            }
            let right = self.value()?;
            left = match (left, right) {
                (Found::Number(a), Found::Number(b)) if multiplies => Found::Number(a * b),
                (Found::Number(a), Found::Number(b)) if b != 0.0 => Found::Number(a / b),
                _ => return Err("only numbers are multiplied, and none is divided by zero".to_owned()),
            };
        }
    }

    fn value(&mut self) -> Result<Found, String> {
        if self.takes('-') {
            return match self.value()? {
                Found::Number(number) => Ok(Found::Number(-number)),
                _ => Err("`-` needs a number".to_owned()),
            };
        }
        if self.takes('(') {
            let inner = self.sum()?;
            return if self.takes(')') { Ok(inner) } else { Err("a `(` is never closed".to_owned()) };
        }
        let digits = self.rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(self.rest.len());
        if digits > 0 {
            let (number, rest) = self.rest.split_at(digits);
            self.rest = rest.trim_start();
            return number.parse().map(Found::Number).map_err(|_| format!("`{number}` is not a number"));
        }
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "_.:".contains(c))).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        match name {
            "" if self.rest.is_empty() => Err("the parameter ends too early".to_owned()),
            "" => Err(format!("`{}` has no place in a parameter", self.rest)),
            "now" | "datetime" | "timedelta" if self.takes('(') => self.call(name),
            _ => self.named(name),
        }
    }

    fn named(&self, name: &str) -> Result<Found, String> {
        let value = self.known.named.get(name).or_else(|| self.defaults.get(name));
        let value = value.ok_or_else(|| {
            let hint = did_you_mean(name, self.known.named.keys().map(String::as_str));
            format!("there is no parameter `{name}` ({hint})")
        })?;
        Ok(match value {
            Value::Number(number) => Found::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => {
                crate::value::read_timestamp(text).map_or(Found::Other(value.clone()), Found::Moment)
            }
            other => Found::Other(other.clone()),
        })
    }

    fn call(&mut self, name: &str) -> Result<Found, String> {
        let mut places = Vec::new();
        let mut named = Vec::new();
        while !self.takes(')') {
            let is_first = places.is_empty() && named.is_empty();
            if !is_first && !self.takes(',') {
                return Err(format!("`{name}(` is never closed"));
            }
            let word = self.rest.find(|c: char| !(c.is_ascii_lowercase())).unwrap_or(self.rest.len());
            let after = self.rest[word..].trim_start();
            let key = after.strip_prefix('=').filter(|_| word > 0).map(|rest| (&self.rest[..word], rest));
            if let Some((key, rest)) = key {
                let key = key.to_owned();
                self.rest = rest.trim_start();
                named.push((key, self.number()?));
            } else {
                places.push(self.number()?);
            }
        }
        match name {
            "now" if places.is_empty() && named.is_empty() => Ok(Found::Moment(self.known.now.naive_utc())),
            "datetime" if named.is_empty() => moment(&places).map(Found::Moment),
            "timedelta" if places.is_empty() => span(&named).map(Found::Span),
            _ => Err(format!("`{name}` does not take these arguments")),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        match self.sum()? {
            Found::Number(number) => Ok(number),
            _ => Err("expected a number".to_owned()),
        }
    }
}

fn moment(parts: &[f64]) -> Result<NaiveDateTime, String> {
    let wrong = || "`datetime` takes year, month, day and a time of day".to_owned();
    let whole = |number: &f64| number.to_string().parse::<u32>().map_err(|_| wrong());
    let parts = parts.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    let (&[year, month, day], time) = parts.split_first_chunk::<3>().ok_or_else(wrong)?;
    let part = |place: usize| time.get(place).copied().unwrap_or_default();
    let day = i32::try_from(year).ok().and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    let at = day.and_then(|day| day.and_hms_opt(part(0), part(1), part(2)));
    at.filter(|_| time.len() <= 3).ok_or_else(wrong)
}

fn span(parts: &[(String, f64)]) -> Result<TimeDelta, String> {
    let mut seconds = 0.0;
    for (unit, number) in parts {
        seconds += number
            * match unit.as_str() {
                "weeks" => 604_800.0,
                "days" => 86_400.0,
                "hours" => 3_600.0,
                "minutes" => 60.0,
                "seconds" => 1.0,
                other => return Err(format!("`timedelta` has no `{other}`")),
            };
    }
    let length = Duration::try_from_secs_f64(seconds.abs()).ok().and_then(|length| TimeDelta::from_std(length).ok());
    length
        .map(|length| if seconds < 0.0 { -length } else { length })
        .ok_or_else(|| "the span is out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        let named = json!({ "limit": 10, "start": "2024-01-31" });
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("an instant");
        let known = Known { named: named.as_object().expect("a mapping"), now };
        evaluate(text, &Map::new(), &known)
    }

    #[test]
    fn parameters_are_computed() {
        let of = |text: &str| value(text).expect(text);
        assert_eq!(of("now()"), json!("2023-11-14T22:13:20"));
        assert_eq!(of("now() - timedelta(weeks=52*100)"), json!("1924-03-18T22:13:20"));
        assert_eq!(of("datetime(2003, 1, 1)"), json!("2003-01-01T00:00:00"));
        assert_eq!(of("start + timedelta(days=1, hours=1)"), json!("2024-02-01T01:00:00"));
        assert_eq!(of("(limit + 2) / 4"), json!(3));
        assert_eq!(of("limit * 0.25"), json!(2.5));
    }

    #[test]
    fn what_is_no_parameter_is_told() {
        let fault = |text: &str| value(text).expect_err(text);
        assert_eq!(fault("limits"), "there is no parameter `limits` (did you mean `limit`?)");
        assert_eq!(fault("now("), "the parameter ends too early");
        assert_eq!(fault("datetime(2003, 13, 1)"), "`datetime` takes year, month, day and a time of day");
        assert_eq!(fault("timedelta(days=1)"), "a span of time is no value; add it to a time");
        assert_eq!(fault("limit limit"), "expected the end of the parameter, found `limit`");
    }
}
