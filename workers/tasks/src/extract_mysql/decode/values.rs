//! The bytes of a value in `MySQL`'s binary protocol, and what they say.

use crate::extract_mysql::columns::{SourceColumn, SourceType};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// A value as the source would print it.
pub(super) fn text(column: &SourceColumn, value: &[u8]) -> Option<String> {
    Some(match column.kind {
        SourceType::Int8 => i8::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int16 => i16::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int32 => i32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Int64 => i64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt8 => u8::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt16 | SourceType::Year => u16::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt32 => u32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::UInt64 => u64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Bits | SourceType::Truth => bits(value).ok()?.to_string(),
        SourceType::Float32 => f32::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Float64 => f64::from_le_bytes(fixed(value).ok()?).to_string(),
        SourceType::Date | SourceType::Datetime | SourceType::Timestamp | SourceType::DateText(_) => {
            date_text(column.kind, value)
        }
        SourceType::Time => format!("{} µs", time(value).ok()?),
        SourceType::Bytes => workflow::hex::encode(value),
        SourceType::Decimal(..)
        | SourceType::WideDecimal(..)
        | SourceType::Text
        | SourceType::Uuid
        | SourceType::Json => String::from_utf8_lossy(value).into_owned(),
    })
}

pub(super) fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("{} bytes where {N} were expected", value.len()))
}

/// Big-endian bits.
pub(super) fn bits(value: &[u8]) -> Result<u64, String> {
    if value.len() > 8 {
        return Err(format!("{} bytes of bits", value.len()));
    }
    Ok(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// `-123.45` at `scale` 2 is -12345.
pub(super) fn decimal(text: &[u8], scale: usize) -> Result<i128, String> {
    let fault = || format!("`{}` is not a decimal", String::from_utf8_lossy(text));
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut number: i128 = 0;
    // Most decimals fit 64 bits, where arithmetic is quick.
    let mut small: u64 = 0;
    let mut taken = 0;
    let mut after_point = None;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                let digit = byte - b'0';
                if taken < 18 {
                    small = small * 10 + u64::from(digit);
                } else {
                    if taken == 18 {
                        number = i128::from(small);
                    }
                    number = number.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit))).ok_or_else(fault)?;
                }
                taken += 1;
                if let Some(places) = &mut after_point {
                    *places += 1;
                }
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return Err(fault()),
        }
    }
    if taken <= 18 {
        number = i128::from(small);
    }
    let places: usize = after_point.unwrap_or(0);
    let missing = scale.checked_sub(places).and_then(|m| u32::try_from(m).ok()).ok_or_else(fault)?;
    let scaled = match missing {
        0 => number,
        _ => number.checked_mul(10i128.pow(missing)).ok_or_else(fault)?,
    };
    Ok(if negative { -scaled } else { scaled })
}

/// Days since 1970 and microseconds of the day; none where year, month or day is zero, or the month has no such day
/// (`ALLOW_INVALID_DATES`).
pub(super) fn civil(value: &[u8]) -> Option<(i32, i64)> {
    let [_, y0, y1, month, day, rest @ ..] = value else { return None };
    let year = u16::from_le_bytes([*y0, *y1]);
    if !is_date(value) {
        return None;
    }
    let micros = match rest {
        [] => 0,
        [hour, minute, second, fraction @ ..] => clock(*hour, *minute, *second) + micros(fraction),
        _ => return None,
    };
    Some((days(i32::from(year), i32::from(*month), i32::from(*day)), micros))
}

/// Whether it is a day of the calendar, alone or with a time of it.
pub(super) fn is_date(value: &[u8]) -> bool {
    let [_, y0, y1, month, day, clock @ ..] = value else { return false };
    let year = u16::from_le_bytes([*y0, *y1]);
    matches!(clock, [] | [_, _, _, ..]) && year > 0 && *month > 0 && *day > 0 && *day <= days_of(year, *month)
}

/// Days that a month has.
fn days_of(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar, counted in years that begin in March,
/// so that the leap day comes last.
fn days(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Microseconds of a length of time.
pub(super) fn time(value: &[u8]) -> Result<i64, String> {
    match value {
        [0] => Ok(0),
        [_, negative, d0, d1, d2, d3, hour, minute, second, fraction @ ..] => {
            let days = i64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3]));
            let span = days * DAY + clock(*hour, *minute, *second) + micros(fraction);
            Ok(if *negative == 0 { span } else { -span })
        }
        _ => Err(format!("{} bytes of time", value.len())),
    }
}

fn clock(hour: u8, minute: u8, second: u8) -> i64 {
    (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000
}

fn micros(fraction: &[u8]) -> i64 {
    match fraction {
        [a, b, c, d] => i64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => 0,
    }
}

/// A date as `MySQL` writes it, all its digits: marks of one cursor are of one width, though the protocol leaves
/// out a time that is zero.
pub(super) fn date_text(kind: SourceType, value: &[u8]) -> String {
    let part = |index: usize| value.get(index).copied().unwrap_or(0);
    let year = u16::from_le_bytes([part(1), part(2)]);
    let date = format!("{year:04}-{:02}-{:02}", part(3), part(4));
    let fraction = micros(value.get(8..).unwrap_or_default());
    if matches!(kind, SourceType::Date | SourceType::DateText(false)) {
        return date;
    }
    format!("{date} {:02}:{:02}:{:02}.{fraction:06}", part(5), part(6), part(7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal(b"-123.45", 2), Ok(-12_345));
        assert_eq!(decimal(b"0.00", 2), Ok(0));
        assert_eq!(decimal(b"5", 3), Ok(5_000));
        assert_eq!(decimal(b"99999999999999999999999999999999.999999", 6), Ok(10i128.pow(38) - 1));
        assert!(decimal(b"1e5", 2).is_err());
        assert!(decimal(b"1.234", 2).is_err());
    }

    #[test]
    fn days_agree_with_the_calendar() {
        for (y, m, d) in [(1970, 1, 1), (2000, 2, 29), (1900, 3, 1), (9999, 12, 31), (1000, 1, 1), (2026, 11, 21)] {
            let day = chrono::NaiveDate::from_ymd_opt(y, m, d).expect("a day");
            let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("a day");
            let signed = |n: u32| i32::try_from(n).expect("small");
            assert_eq!(i64::from(days(y, signed(m), signed(d))), day.signed_duration_since(epoch).num_days(), "{day}");
        }
    }

    #[test]
    fn zero_dates_are_no_dates() {
        assert_eq!(civil(&[0]), None);
        assert_eq!(civil(&[4, 0xE8, 0x07, 0, 1]), None, "2024-00-01");
        assert_eq!(civil(&[4, 0xB2, 0x07, 1, 1]), Some((0, 0)), "1970-01-01");
        assert_eq!(civil(&[4, 0xE7, 0x07, 2, 29]), None, "2023-02-29");
        assert!(civil(&[4, 0xE8, 0x07, 2, 29]).is_some(), "2024-02-29");
        assert_eq!(date_text(SourceType::Date, &[0]), "0000-00-00");
        assert_eq!(date_text(SourceType::Datetime, &[0]), "0000-00-00 00:00:00.000000");
    }
}
