//! Postgres' binary `numeric`: sign, weight and digits in base 10,000, exact.

/// Appends length and value of `unscaled / 10^scale`.
pub(super) fn write(unscaled: i128, scale: u32, out: &mut Vec<u8>) {
    let sign: u16 = if unscaled < 0 { 0x4000 } else { 0 };
    // 38 digits and a partial group at either end of the point: at most 11 groups.
    let mut groups = [0u16; 12];
    let mut count = 0;
    let mut rest = unscaled.unsigned_abs();
    let partial = scale % 4;
    if partial > 0 {
        let cut = 10u128.pow(partial);
        groups[0] = group(rest % cut) * 10u16.pow(4 - partial);
        rest /= cut;
        count = 1;
    }
    // Division of 128 bits is slow, and money fits 64.
    while rest > u128::from(u64::MAX) {
        groups[count] = group(rest % 10_000);
        rest /= 10_000;
        count += 1;
    }
    let mut low = u64::try_from(rest).unwrap_or(u64::MAX);
    while low > 0 {
        groups[count] = group(u128::from(low % 10_000));
        low /= 10_000;
        count += 1;
    }
    let fraction = scale.div_ceil(4) as usize;
    while count > 0 && groups[count - 1] == 0 {
        count -= 1;
    }
    let first = groups[..count].iter().position(|g| *g != 0).unwrap_or(count);
    let digits = &groups[first..count];
    let short = |value: usize| i16::try_from(value).unwrap_or(i16::MAX);
    let weight = if digits.is_empty() { 0 } else { short(count) - short(fraction) - 1 };
    let sign = if digits.is_empty() { 0 } else { sign };
    // In one piece: each append costs as much as what it appends.
    let mut cell = [0; 12 + 2 * 12];
    let length = 8 + 2 * digits.len();
    cell[..4].copy_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    cell[4..6].copy_from_slice(&short(digits.len()).to_be_bytes());
    cell[6..8].copy_from_slice(&weight.to_be_bytes());
    cell[8..10].copy_from_slice(&sign.to_be_bytes());
    cell[10..12].copy_from_slice(&short(scale as usize).to_be_bytes());
    for (digit, place) in digits.iter().rev().zip(cell[12..].chunks_exact_mut(2)) {
        place.copy_from_slice(&digit.to_be_bytes());
    }
    out.extend_from_slice(&cell[..4 + length]);
}

/// Which numbers `unscaled / 10^from` are exactly a `numeric(precision, scale)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit {
    /// What all of them are below, without their sign.
    below: u128,
    /// What all of them are multiples of.
    multiple: u128,
}

impl Fit {
    /// Worked out once for a column: divisions of 128 bits are slow.
    pub(super) fn new(from: u32, precision: u32, scale: u32) -> Self {
        let whole = precision.saturating_sub(scale);
        let power = |exponent| 10u128.saturating_pow(exponent);
        Self { below: power(whole.saturating_add(from)), multiple: power(from.saturating_sub(scale)) }
    }

    pub(super) fn holds(&self, unscaled: i128) -> bool {
        let magnitude = unscaled.unsigned_abs();
        magnitude < self.below && (self.multiple == 1 || magnitude.is_multiple_of(self.multiple))
    }
}

/// Appends length and value of a decimal as text: `-12.50`. The error says why it is none, or does not fit the
/// precision and scale of `limits`.
pub(super) fn write_text(text: &str, limits: Option<(u32, u32)>, out: &mut Vec<u8>) -> Result<(), String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) || digits.len() > LONGEST || whole.is_empty() && fraction.is_empty() {
        return Err(format!("`{}` is not a decimal number", text.chars().take(80).collect::<String>()));
    }
    let whole = whole.trim_start_matches('0');
    let scale = limits.map_or(fraction.len(), |(_, scale)| scale as usize);
    if let Some((precision, scale)) = limits
        && (whole.len() > precision.saturating_sub(scale) as usize
            || fraction.trim_end_matches('0').len() > scale as usize)
    {
        return Err(format!("{text} is out of range for numeric({precision},{scale})"));
    }
    let head = whole.len().div_ceil(4);
    // Digits in groups of four, counted from the point on both sides.
    let padded = format!("{whole:0>width$}{fraction}", width = head * 4);
    let mut groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|four| (0..4).fold(0, |sum, place| sum * 10 + four.get(place).map_or(0, |digit| u16::from(digit - b'0'))))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let short = |value: usize| i16::try_from(value).unwrap_or(i16::MAX);
    let weight = if groups.is_empty() { 0 } else { short(head) - short(leading) - 1 };
    let sign: u16 = if negative && !groups.is_empty() { 0x4000 } else { 0 };
    out.extend_from_slice(&i32::try_from(8 + 2 * groups.len()).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(&short(groups.len()).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&short(scale).to_be_bytes());
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
    Ok(())
}

/// Digits and point of the longest decimal that is taken as text; Postgres itself would hold 16 times as many.
const LONGEST: usize = 8192;

fn group(value: u128) -> u16 {
    u16::try_from(value).unwrap_or(9999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_gives_the_same_bytes_as_a_number() {
        for (unscaled, scale, text) in [
            (0, 0, "0"),
            (0, 2, "-0.00"),
            (1, 0, "1"),
            (-12_345, 2, "-123.45"),
            (12_345, 4, "1.2345"),
            (1, 10, "0.0000000001"),
            (10_000, 0, "0010000"),
            (100_000_000, 4, "10000.0000"),
            (i128::MAX, 30, "170141183.460469231731687303715884105727"),
        ] {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            write(unscaled, scale, &mut one);
            write_text(text, None, &mut other).expect(text);
            assert_eq!(one, other, "{text}");
        }
        let mut out = Vec::new();
        for bad in ["", "-", ".", "1e5", "NaN", "1.2.3", "--1", " 1", "+1"] {
            assert!(write_text(bad, None, &mut out).is_err(), "{bad}");
        }
        assert!(write_text("100", Some((42, 40)), &mut out).is_err());
        assert!(write_text("0.001", Some((42, 2)), &mut out).is_err());
        assert!(out.is_empty(), "nothing is written of what is refused");
        assert_eq!(write_text("00.0010", Some((42, 3)), &mut out), Ok(()));
    }

    #[test]
    fn fits_is_exact_at_the_edges() {
        assert!(Fit::new(2, 4, 2).holds(9_999));
        assert!(!Fit::new(2, 4, 2).holds(10_000));
        assert!(Fit::new(2, 4, 2).holds(-9_999));
        assert!(Fit::new(4, 3, 2).holds(12_300), "1.2300 is 1.23");
        assert!(!Fit::new(4, 12, 2).holds(12_345), "1.2345 has four digits after the point");
        assert!(Fit::new(38, 38, 38).holds(i128::MAX / 2));
    }
}
