//! What is kept of one column while its values go by.

use std::collections::HashMap;

use super::{ColumnProfile, PATTERNS, Pattern, Quantiles, TOP, TextProfile, distinct::Distinct};
use crate::{
    types::{Column, Type},
    value::Scalar,
};

/// One column being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    column: Column,
    rows: u64,
    nulls: u64,
    distinct: Distinct,
    least: Option<Scalar>,
    greatest: Option<Scalar>,
    numbers: Numbers,
    texts: Texts,
}

impl Watch {
    pub(crate) fn new(column: Column) -> Self {
        Self {
            column,
            rows: 0,
            nulls: 0,
            distinct: Distinct::default(),
            least: None,
            greatest: None,
            numbers: Numbers::default(),
            texts: Texts::default(),
        }
    }

    /// Takes the value of the next row.
    pub(crate) fn see(&mut self, value: Option<Scalar>) {
        self.rows += 1;
        let Some(value) = value else {
            self.nulls += 1;
            return;
        };
        if self.column.kind != Type::Other {
            if self.least.as_ref().is_none_or(|least| value.compare(least).is_some_and(std::cmp::Ordering::is_lt)) {
                self.least = Some(value.clone());
            }
            if self.greatest.as_ref().is_none_or(|most| value.compare(most).is_some_and(std::cmp::Ordering::is_gt)) {
                self.greatest = Some(value.clone());
            }
        }
        if let Some(number) = value.as_f64().filter(|number| number.is_finite()) {
            self.numbers.add(number);
        }
        if let (Scalar::Text(text), Type::Text) = (&value, self.column.kind) {
            self.texts.add(text);
        }
        self.distinct.add(value);
    }

    pub(super) fn finish(self) -> ColumnProfile {
        let numbers = &self.numbers;
        ColumnProfile {
            type_name: self.column.stored.own.clone(),
            common_type: self.column.stored.common().to_owned(),
            kind: self.column.kind,
            name: self.column.name,
            rows: self.rows,
            nulls: self.nulls,
            distinct: self.distinct.count(),
            min: self.least,
            max: self.greatest,
            mean: (numbers.count > 0).then_some(numbers.mean),
            stdev: (numbers.count > 1).then(|| (numbers.squares / (numbers.count - 1) as f64).sqrt()),
            quantiles: numbers.quantiles(&self.distinct),
            top: self.distinct.top(TOP),
            text: self.texts.finish(),
        }
    }
}

/// Mean and deviation in one pass (Welford, 1962), and a sample for quantiles (Vitter's algorithm R, 1985).
#[derive(Debug, Default)]
struct Numbers {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    sample: Vec<f64>,
    chance: u64,
}

/// So many values are sampled for quantiles: half a percent of rank is then more than two standard errors.
const SAMPLE: usize = 1 << 16;

impl Numbers {
    fn add(&mut self, number: f64) {
        self.count += 1;
        let distance = number - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (number - self.mean);
        if self.sample.len() < SAMPLE {
            self.sample.push(number);
            return;
        }
        // The generator is Knuth's MMIX; the same data gives the same sample.
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (u128::from(self.chance) * u128::from(self.count)) >> 64;
        if let Some(place) = usize::try_from(place).ok().and_then(|place| self.sample.get_mut(place)) {
            *place = number;
        }
    }

    fn quantiles(&self, distinct: &Distinct) -> Option<Quantiles> {
        if self.count == 0 {
            return None;
        }
        let approximate = distinct.count().approximate;
        let weighted = distinct.numbers().unwrap_or_else(|| {
            let mut sample = self.sample.clone();
            sample.sort_by(f64::total_cmp);
            sample.into_iter().map(|number| (number, 1)).collect()
        });
        let total: u64 = weighted.iter().map(|(_, count)| count).sum();
        let at = |fraction: f64| {
            let mut below = 0;
            let reached = weighted.iter().find(|(_, count)| {
                below += count;
                below as f64 >= fraction * total as f64
            });
            reached.or(weighted.last()).map(|(number, _)| *number)
        };
        Some(Quantiles { p05: at(0.05)?, p25: at(0.25)?, p50: at(0.5)?, p75: at(0.75)?, p95: at(0.95)?, approximate })
    }
}

#[derive(Debug, Default)]
struct Texts {
    count: u64,
    shortest: u64,
    longest: u64,
    characters: u64,
    blank: u64,
    padded: u64,
    patterns: HashMap<String, u64>,
    other: u64,
}

/// So many patterns are counted; later ones are others.
const KNOWN_PATTERNS: usize = 1000;

/// The pattern of a longer text is cut here.
const PATTERN_LENGTH: usize = 60;

impl Texts {
    fn add(&mut self, text: &str) {
        let mut length = 0;
        let mut pattern = String::with_capacity(text.len().min(PATTERN_LENGTH));
        for character in text.chars() {
            length += 1;
            if length <= PATTERN_LENGTH as u64 {
                pattern.push(shape(character));
            }
        }
        self.shortest = if self.count == 0 { length } else { self.shortest.min(length) };
        self.longest = self.longest.max(length);
        self.count += 1;
        self.characters += length;
        let trimmed = text.trim();
        if trimmed.is_empty() {
            self.blank += 1;
        } else if trimmed.len() < text.len() {
            self.padded += 1;
        }
        if length > PATTERN_LENGTH as u64 {
            pattern.push('…');
        }
        if let Some(count) = self.patterns.get_mut(&pattern) {
            *count += 1;
        } else if self.patterns.len() < KNOWN_PATTERNS {
            self.patterns.insert(pattern, 1);
        } else {
            self.other += 1;
        }
    }

    fn finish(self) -> Option<TextProfile> {
        if self.count == 0 {
            return None;
        }
        let mut patterns: Vec<_> =
            self.patterns.into_iter().map(|(pattern, count)| Pattern { pattern, count }).collect();
        patterns.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.pattern.cmp(&b.pattern)));
        let all_patterns = (self.other == 0).then(|| patterns.iter().map(|pattern| pattern.pattern.clone()).collect());
        let others: u64 = patterns.iter().skip(PATTERNS).map(|pattern| pattern.count).sum();
        patterns.truncate(PATTERNS);
        Some(TextProfile {
            min_length: self.shortest,
            max_length: self.longest,
            mean_length: self.characters as f64 / self.count as f64,
            blank: self.blank,
            padded: self.padded,
            patterns,
            other_patterns: self.other + others,
            all_patterns,
        })
    }
}

fn shape(character: char) -> char {
    match character {
        _ if character.is_numeric() => '9',
        _ if character.is_uppercase() => 'A',
        _ if character.is_alphabetic() => 'a',
        other => other,
    }
}
