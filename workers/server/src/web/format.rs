//! How pages write numbers, money, durations and times.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use maud::{Markup, html};
use rust_decimal::{Decimal, RoundingStrategy};

/// `12,345`.
pub(super) fn count(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let grouped = group(&digits);
    if value < 0 { format!("−{grouped}") } else { grouped }
}

/// A number with no more digits than a person reads: `1,020`, `16.4`, `0.0031`.
pub(super) fn number(value: f64) -> String {
    quality::profile::number(value).replace('-', "−")
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `€12,345.67`; a currency without a common sign is named by its code.
pub(super) fn money(value: Decimal, currency: &str) -> String {
    let value = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    let text = format!("{:.2}", value.abs());
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let sign = if value.is_sign_negative() && !value.is_zero() { "−" } else { "" };
    format!("{sign}{}{}.{cents}", currency_sign(currency), group(whole))
}

/// The sign that goes before an amount.
pub(super) fn currency_sign(currency: &str) -> String {
    match currency {
        "EUR" => "€".to_owned(),
        "USD" => "$".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        code => format!("{code} "),
    }
}

/// `0.4 s`, `12 s`, `3 m 05 s`, `2 h 10 m`, `5 d 3 h`.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.001 {
        return "0 s".to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive span of seconds")]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} m {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} m", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `12%`, `0.3%`; a dash where there is nothing to divide by.
pub(super) fn percent(part: i64, whole: i64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let value = part as f64 / whole as f64 * 100.0;
    if value > 0.0 && value < 9.95 { format!("{value:.1}%") } else { format!("{value:.0}%") }
}

/// `21 Nov 08:00`, in the project's zone, with the year where it is another; the whole instant on hover.
pub(super) fn time(at: DateTime<Utc>, zone: Tz) -> Markup {
    let local = at.with_timezone(&zone);
    let short = if local.year() == Utc::now().with_timezone(&zone).year() { "%-d %b %H:%M" } else { "%-d %b %Y %H:%M" };
    html! {
        time datetime=(at.to_rfc3339()) title=(local.format("%Y-%m-%d %H:%M:%S %Z")) { (local.format(short)) }
    }
}

/// As [`time`], with seconds.
pub(super) fn time_seconds(at: DateTime<Utc>, zone: Tz) -> Markup {
    let local = at.with_timezone(&zone);
    html! {
        time datetime=(at.to_rfc3339()) title=(local.format("%Y-%m-%d %H:%M:%S%.3f %Z")) { (local.format("%H:%M:%S")) }
    }
}

/// `3 min ago`, kept up to date by the page's script; the whole instant on hover.
pub(super) fn ago(at: DateTime<Utc>, zone: Tz) -> Markup {
    let local = at.with_timezone(&zone);
    html! {
        time datetime=(at.to_rfc3339()) title=(local.format("%Y-%m-%d %H:%M:%S %Z")) data-ago { (ago_text(at, Utc::now())) }
    }
}

/// The same words as `ago` in `app.js`.
fn ago_text(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let (words, late) = (seconds.abs(), seconds >= 0);
    let text = match words {
        0..5 => return if late { "just now" } else { "now" }.to_owned(),
        5..60 => format!("{words} s"),
        60..3600 => format!("{} min", words / 60),
        3600..86_400 => format!("{} h", words / 3600),
        _ => format!("{} d", words / 86_400),
    };
    if late { format!("{text} ago") } else { format!("in {text}") }
}

/// A path segment or query value, percent-encoded.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// A place in an SVG, in tenths.
pub(super) fn place(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_money_is_rounded() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(-1_234_567), "−1,234,567");
        assert_eq!(money("1234567.895".parse().unwrap(), "EUR"), "€1,234,567.90");
        assert_eq!(money("-0.001".parse().unwrap(), "EUR"), "€0.00");
        assert_eq!(money("-12.5".parse().unwrap(), "CHF"), "−CHF 12.50");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases =
            [(0.0, "0 s"), (0.25, "250 ms"), (1.0, "1.0 s"), (59.4, "59 s"), (59.7, "1 m 00 s"), (125.0, "2 m 05 s")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(duration(7_800.0), "2 h 10 m");
        assert_eq!(duration(270_000.0), "3 d 3 h");
    }

    #[test]
    fn what_goes_into_an_address_is_encoded() {
        assert_eq!(encode("a/b?c=<\"ü"), "a%2Fb%3Fc%3D%3C%22%C3%BC");
    }
}
