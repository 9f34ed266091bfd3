//! A format of times in the language of Python's `strptime`, in English.

use chrono::NaiveDate;
use regex::{Captures, Regex};

use super::MONTHS;

/// Which texts are times in a format.
#[derive(Debug, Clone)]
pub struct TimeFormat {
    written: String,
    pattern: Regex,
}

impl PartialEq for TimeFormat {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl TimeFormat {
    /// Reads a format such as `%Y-%m-%d`.
    ///
    /// # Errors
    /// Where a directive is none of Python's, or stands there twice.
    pub fn read(format: &str) -> Result<Self, String> {
        let mut pattern = "^(?i:".to_owned();
        let mut characters = expanded(format).chars().collect::<Vec<_>>().into_iter();
        while let Some(character) = characters.next() {
            match character {
                '%' => {
                    let letter = characters.next().ok_or("ends with a single `%`")?;
                    pattern.push_str(directive(letter).ok_or_else(|| format!("`%{letter}` is no directive"))?);
                }
                blank if blank.is_whitespace() => pattern.push_str(r"\s+"),
                other => pattern.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        pattern.push(')');
        let pattern = Regex::new(&pattern).map_err(|_| "a directive stands there twice".to_owned())?;
        Ok(Self { written: format.to_owned(), pattern })
    }

    /// Whether `text` is a time in this format, from its first character to its last.
    pub fn reads(&self, text: &str) -> bool {
        // As Python does: what the format takes first must be all there is.
        self.pattern.captures(text).is_some_and(|found| found[0].len() == text.len() && is_a_day(&found))
    }
}

/// The directives that stand for several others, as the C locale has them.
fn expanded(format: &str) -> String {
    format.replace("%c", "%a %b %d %H:%M:%S %Y").replace("%x", "%m/%d/%y").replace("%X", "%H:%M:%S")
}

/// The expressions of Python's own `_strptime`.
fn directive(letter: char) -> Option<&'static str> {
    Some(match letter {
        'a' => "(?P<a>mon|tue|wed|thu|fri|sat|sun)",
        'A' => "(?P<A>monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
        'b' => "(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
        'B' => "(?P<B>january|february|march|april|may|june|july|august|september|october|november|december)",
        'd' => "(?P<d>3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9])",
        'f' => "(?P<f>[0-9]{1,6})",
        'G' => "(?P<G>[0-9]{4})",
        'H' => "(?P<H>2[0-3]|[0-1][0-9]|[0-9])",
        'I' => "(?P<I>1[0-2]|0[1-9]|[1-9])",
        'j' => "(?P<j>36[0-6]|3[0-5][0-9]|[1-2][0-9][0-9]|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9])",
        'm' => "(?P<m>1[0-2]|0[1-9]|[1-9])",
        'M' => "(?P<M>[0-5][0-9]|[0-9])",
        'p' => "(?P<p>am|pm)",
        'S' => "(?P<S>6[0-1]|[0-5][0-9]|[0-9])",
        'u' => "(?P<u>[1-7])",
        'U' => "(?P<U>5[0-3]|[0-4][0-9]|[0-9])",
        'V' => "(?P<V>5[0-3]|0[1-9]|[1-4][0-9]|[0-9])",
        'w' => "(?P<w>[0-6])",
        'W' => "(?P<W>5[0-3]|[0-4][0-9]|[0-9])",
        'y' => "(?P<y>[0-9][0-9])",
        'Y' => "(?P<Y>[0-9]{4})",
        'z' => r"(?P<z>[+-][0-9][0-9]:?[0-5][0-9](?::?[0-5][0-9](?:\.[0-9]{1,6})?)?|z)",
        'Z' => "(?P<Z>utc|gmt)",
        '%' => "%",
        _ => return None,
    })
}

/// Whether the day exists; what is not given is of 1 January 1900.
fn is_a_day(found: &Captures<'_>) -> bool {
    let number = |name: &str| found.name(name).and_then(|part| part.as_str().trim().parse::<u32>().ok());
    let named = |name: &str| {
        let part = found.name(name)?.as_str().to_lowercase();
        MONTHS.iter().position(|month| month.starts_with(&part)).and_then(|place| u32::try_from(place + 1).ok())
    };
    // Two digits are a year of 1969 to 2068, as POSIX has it.
    let short = number("y").map(|year| if year < 69 { 2000 + year } else { 1900 + year });
    let year = number("Y").or(short).and_then(|year| i32::try_from(year).ok()).unwrap_or(1900);
    let month = number("m").or_else(|| named("b")).or_else(|| named("B")).unwrap_or(1);
    // There is no year 0 in Python.
    year > 0 && NaiveDate::from_ymd_opt(year, month, number("d").unwrap_or(1)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_what_python_reads() {
        let cases = [
            ("%Y-%m-%d", "2024-02-29", true),
            ("%Y-%m-%d", "2023-02-29", false),
            ("%Y-%m-%d", "2024-2-9", true),
            ("%Y-%m-%d", "2024-02-29 ", false),
            ("%d %b %Y, %H:%M", "01 Mar 2024, 23:59", true),
            ("%d %b %Y, %H:%M", "01 Mrz 2024, 23:59", false),
            ("%y%m%d", "690229", false),
            ("%y%m%d", "680229", true),
            ("%c", "Mon Jan 05 10:11:12 2024", true),
            ("100%%", "100%", true),
        ];
        for (format, text, wanted) in cases {
            let format = TimeFormat::read(format).expect("a format");
            assert_eq!(format.reads(text), wanted, "{text} in {format:?}");
        }
        assert_eq!(TimeFormat::read("%D").expect_err("a fault"), "`%D` is no directive");
        assert_eq!(TimeFormat::read("%Y %Y").expect_err("a fault"), "a directive stands there twice");
    }
}
