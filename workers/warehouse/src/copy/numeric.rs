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
    let length = 8 + 2 * digits.len();
    out.extend_from_slice(&i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    out.extend_from_slice(&short(digits.len()).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&(if digits.is_empty() { 0 } else { sign }).to_be_bytes());
    out.extend_from_slice(&short(scale as usize).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Whether `unscaled / 10^from` is exactly a `numeric(precision, scale)`.
pub(super) fn fits(unscaled: i128, from: u32, precision: u32, scale: u32) -> bool {
    let magnitude = unscaled.unsigned_abs();
    let whole_digits = precision.saturating_sub(scale);
    let exact = from <= scale || magnitude.is_multiple_of(10u128.saturating_pow(from - scale));
    // Compare the part before the point, so that nothing overflows.
    exact && magnitude / 10u128.saturating_pow(from) < 10u128.saturating_pow(whole_digits)
}

fn group(value: u128) -> u16 {
    u16::try_from(value).unwrap_or(9999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_is_exact_at_the_edges() {
        assert!(fits(9_999, 2, 4, 2));
        assert!(!fits(10_000, 2, 4, 2));
        assert!(fits(-9_999, 2, 4, 2));
        assert!(fits(12_300, 4, 3, 2), "1.2300 is 1.23");
        assert!(!fits(12_345, 4, 12, 2), "1.2345 has four digits after the point");
        assert!(fits(i128::MAX / 2, 38, 38, 38));
    }
}
