//! Whether a text is a date or a time as people write them: the common forms that Python's `dateutil` reads, day and
//! month in the order that makes sense, month first where both do.

use std::sync::LazyLock;

use chrono::NaiveDate;
use regex::Regex;

use super::MONTHS;

/// A time of day, with what may follow it.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x) (?:^|[\st]) (?: (\d{1,2}):(\d{1,2}) (?: :(\d{1,2}) (?:[.,]\d+)? )? (?: \s*[ap]\.?m\.? )?
                             | (\d{1,2}) \s* [ap]\.?m\.? )
          (?: \s* (?: z | utc | gmt | [+-]\d{2} (?: :?\d{2} )? ) )? (?:$|\s)",
    )
    .ok()
});

const DAYS: [&str; 14] = [
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
/// Words that say nothing.
const JUMPS: [&str; 6] = ["at", "on", "and", "of", "ad", "the"];

/// Whether it is one.
pub(super) fn reads(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let Some(pattern) = TIME.as_ref() else { return false };
    let mut date = text.clone();
    let mut timed = false;
    if let Some(found) = pattern.captures(&text) {
        let part = |index: usize| found.get(index).and_then(|part| part.as_str().parse::<u32>().ok());
        if part(1).is_some_and(|hour| hour > 23)
            || part(2).is_some_and(|minute| minute > 59)
            || part(3).is_some_and(|second| second > 59)
            || part(4).is_some_and(|hour| hour > 12)
        {
            return false;
        }
        timed = true;
        let whole = found.get(0).map_or(0..0, |whole| whole.range());
        date.replace_range(whole, " ");
    }
    let mut parts = Vec::new();
    let mut weekday = false;
    for word in date.split([' ', '\t', ',', ';', '/', '-', '.']).filter(|word| !word.is_empty()) {
        if DAYS.contains(&word) && !weekday {
            weekday = true;
        } else if !JUMPS.contains(&word) {
            match part(word) {
                Some(part) => parts.push(part),
                None => return false,
            }
        }
    }
    if parts.is_empty() { timed || weekday } else { is_a_day(&parts) }
}

/// One part of a date.
#[derive(Clone, Copy)]
enum Part {
    Month(u32),
    Number {
        value: u32,
        digits: usize,
    },
    /// Digits that are a whole day.
    Day(bool),
}

fn part(word: &str) -> Option<Part> {
    // In full, or its first three letters; only September is cut short in another way, too.
    if let Some(place) =
        MONTHS.iter().position(|month| word == *month || word == &month[..3]).or_else(|| (word == "sept").then_some(8))
    {
        return Some(Part::Month(u32::try_from(place + 1).ok()?));
    }
    let ordinal = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end));
    let digits = ordinal.unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<u32>().ok());
    let (year, month, day) = match digits.len() {
        // 20240131, and with a time behind it.
        8 | 12 | 14 => (number(0..4)?, number(4..6)?, number(6..8)?),
        6 => (2000 + number(0..2)?, number(2..4)?, number(4..6)?),
        1..=4 => return Some(Part::Number { value: digits.parse().ok()?, digits: digits.len() }),
        _ => return None,
    };
    let timed = digits.len() < 12 || (number(8..10)? < 24 && number(10..12)? < 60);
    Some(Part::Day(timed && day_exists(year, month, day)))
}

fn day_exists(year: u32, month: u32, day: u32) -> bool {
    i32::try_from(year).is_ok_and(|year| year > 0 && NaiveDate::from_ymd_opt(year, month, day).is_some())
}

fn is_a_day(parts: &[Part]) -> bool {
    let is_year = |value: u32, digits: usize| digits > 2 || value > 31;
    let full = |value: u32, digits: usize| match (digits, value) {
        (1 | 2, 0..69) => 2000 + value,
        (1 | 2, _) => 1900 + value,
        _ => value,
    };
    match *parts {
        [Part::Day(exists)] => exists,
        [Part::Month(_)] => true,
        [Part::Number { value, digits }] => value > 0 && (digits > 2 || value <= 31 || digits == 2),
        [Part::Month(month), Part::Number { value, digits }] | [Part::Number { value, digits }, Part::Month(month)] => {
            is_year(value, digits) || day_exists(2000, month, value)
        }
        [Part::Number { value: a, digits: m }, Part::Number { value: b, digits: n }] => {
            match (is_year(a, m), is_year(b, n)) {
                (true, false) => (1..=12).contains(&b),
                (false, true) => (1..=12).contains(&a),
                (false, false) => day_exists(2000, a, b) || day_exists(2000, b, a),
                (true, true) => false,
            }
        }
        [Part::Month(month), Part::Number { value: a, digits: m }, Part::Number { value: b, digits: n }]
        | [Part::Number { value: a, digits: m }, Part::Month(month), Part::Number { value: b, digits: n }]
        | [Part::Number { value: a, digits: m }, Part::Number { value: b, digits: n }, Part::Month(month)] => {
            if is_year(a, m) { day_exists(full(a, m), month, b) } else { day_exists(full(b, n), month, a) }
        }
        [Part::Number { value: first, digits }, Part::Number { value: second, .. }, last @ Part::Number { .. }] => {
            let Part::Number { value: third, digits: of_third } = last else { return false };
            if is_year(first, digits) {
                let year = full(first, digits);
                day_exists(year, second, third) || day_exists(year, third, second)
            } else {
                let year = full(third, of_third);
                day_exists(year, first, second) || day_exists(year, second, first)
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn common_forms_are_dates() {
        for text in [
            "2019-04-01",
            "01/02/2011",
            "13/02/2011",
            "20240229",
            "2024-02-29T23:59:59.123Z",
            "2024-02-29 11:59 pm",
            "Thu, 25 Sep 2003 10:49:41 +0200",
            "September 25th, 2003",
            "25.9.2003",
            "10:36 am",
            "2003",
            "Sep 2003",
            "99-12-31",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in ["", "abc", "2023-02-29", "31/31/2000", "25:00", "12:61", "cat 2003", "1 2 3 4", "20241332"] {
            assert!(!reads(text), "{text}");
        }
    }
}
