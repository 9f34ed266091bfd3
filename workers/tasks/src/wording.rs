//! Numbers as people write them.

use rust_decimal::Decimal;

/// With a comma between thousands and this many decimals.
pub(crate) fn grouped(value: impl Into<Decimal>, decimals: u32) -> String {
    let text = format!("{:.*}", decimals as usize, value.into().round_dp(decimals));
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("−", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut out = String::with_capacity(text.len() + 6);
    out.push_str(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// `€12,345`, `−€0.50`, `12,345 SEK`.
pub(crate) fn money(currency: &str, amount: Decimal, decimals: u32) -> String {
    let number = grouped(amount, decimals);
    let symbol = match currency {
        "EUR" => '€',
        "USD" => '$',
        "GBP" => '£',
        other => return format!("{number} {other}"),
    };
    number.strip_prefix('−').map_or_else(|| format!("{symbol}{number}"), |positive| format!("−{symbol}{positive}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_reads_as_people_write_it() {
        assert_eq!(money("EUR", Decimal::new(123_456_789, 2), 2), "€1,234,567.89");
        assert_eq!(money("EUR", Decimal::new(-50, 2), 2), "−€0.50");
        assert_eq!(money("SEK", Decimal::from(999), 0), "999 SEK");
        assert_eq!(grouped(-1_000, 0), "−1,000");
    }
}
