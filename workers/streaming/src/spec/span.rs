//! Lengths of time as people write them: `250ms`, `5s`, `10m`, `1h`, `7d`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, kept in microseconds because that is how finely events are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

impl Span {
    /// Of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// In microseconds; never negative.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// As the standard library's.
    pub fn duration(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = text[..split].parse().ok()?;
        let unit = match text[split..].trim_start() {
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        count.checked_mul(unit).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
        for (unit, name) in units {
            if self.0 >= unit && self.0 % unit == 0 {
                return write!(out, "{}{name}", self.0 / unit);
            }
        }
        write!(out, "{}ms", self.0 / 1_000)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("`{text}` is not a length of time; write 250ms, 5s, 10m, 1h or 7d"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_read_and_print() {
        for text in ["250ms", "5s", "10m", "1h", "7d", "90s"] {
            assert_eq!(Span::parse(text).expect(text).to_string(), text);
        }
        for text in ["5", "s", "-5s", "5 weeks", "", "99999999999999d"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }
}
