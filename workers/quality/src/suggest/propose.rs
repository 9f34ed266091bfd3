//! From a profile to the checks that are worth a try.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Candidate, Weakening,
    bounds::{above, numbers, whole},
    notes::notes,
};
use crate::{
    profile::{ColumnProfile, Profile, TextProfile, thousands},
    types::Type,
    value::Scalar,
};

/// A column with fewer nulls than this part is meant to have none.
const MEANT_NOT_NULL: f64 = 0.05;

/// A column of which this part of the values differ is meant to be unique.
const MEANT_UNIQUE: f64 = 0.98;

/// Fewer values than this may all differ by chance.
const KEYS_SEEN: u64 = 20;

/// Texts longer than this are no keys.
const KEY_LENGTH: u64 = 64;

/// A set of values has been seen whole where there are so many rows a value, on average.
const ROWS_A_VALUE: u64 = 10;

/// A set has at most so many texts.
const FEW_TEXTS: u64 = 20;

/// A set has at most so many numbers; more are a range.
const FEW_NUMBERS: u64 = 5;

/// Texts are of a form where so many forms fit them all.
const FORMS: usize = 3;

/// The checks to try, and notes for people.
pub(super) fn propose(profile: &Profile) -> (Vec<Candidate>, Vec<String>) {
    let mut proposed = Proposed::default();
    let names: Vec<_> = profile.columns.iter().map(|column| column.name.as_str()).collect();
    let counted = format!("{} columns", names.len());
    proposed.add("expect_table_columns_to_match_ordered_list", vec![("column_list", json!(names))], counted);
    if profile.rows > 0 {
        let bounds = vec![("min_value", (profile.rows / 2).max(1).into()), ("max_value", (profile.rows * 2).into())];
        proposed.add("expect_table_row_count_to_be_between", bounds, format!("{} rows", thousands(profile.rows)));
        proposed.or(Weakening::Bounds);
    }
    for column in &profile.columns {
        proposed.column(column);
    }
    (proposed.candidates, proposed.notes)
}

#[derive(Default)]
struct Proposed {
    candidates: Vec<Candidate>,
    notes: Vec<String>,
}

impl Proposed {
    fn add(&mut self, expectation: &'static str, arguments: Vec<(&'static str, Value)>, evidence: String) {
        let weakening = Weakening::None;
        self.candidates.push(Candidate { expectation, arguments, evidence, weakened: None, weakening });
    }

    fn about(
        &mut self,
        column: &ColumnProfile,
        expectation: &'static str,
        arguments: Vec<(&'static str, Value)>,
        evidence: String,
    ) {
        let named = [("column", Value::from(column.name.as_str()))];
        self.add(expectation, named.into_iter().chain(arguments).collect(), evidence);
    }

    /// What may become of the check that was added last.
    fn or(&mut self, weakening: Weakening) {
        if let Some(last) = self.candidates.last_mut() {
            last.weakening = weakening;
        }
    }

    fn column(&mut self, column: &ColumnProfile) {
        let of_type = vec![("type_", Value::from(column.common_type.as_str()))];
        let stored = format!("stored as {}", column.type_name);
        self.about(column, "expect_column_values_to_be_of_type", of_type, stored);
        let (rows, values) = (column.rows, column.values());
        if values == 0 {
            if rows > 0 {
                self.notes.push(format!("`{}` is null in all rows", column.name));
            }
            return;
        }
        if column.nulls as f64 <= MEANT_NOT_NULL * rows as f64 {
            let evidence = format!("{} of {} rows are null", thousands(column.nulls), thousands(rows));
            self.about(column, "expect_column_values_to_not_be_null", Vec::new(), evidence);
            self.or(Weakening::Mostly);
        }
        let is_unique = self.unique(column);
        if !self.set(column) {
            self.range(column, is_unique);
            if let Some(text) = &column.text {
                self.text(column, text);
            }
        }
        self.notes.extend(notes(column));
    }

    /// Whether the column is meant to be a key.
    fn unique(&mut self, column: &ColumnProfile) -> bool {
        let (distinct, values) = (column.distinct, column.values());
        let fits = match column.kind {
            Type::Int => true,
            Type::Text => column.text.as_ref().is_some_and(|text| text.max_length <= KEY_LENGTH),
            _ => false,
        };
        if !fits || values < KEYS_SEEN || (distinct.count as f64) < MEANT_UNIQUE * values as f64 {
            return false;
        }
        let about = if distinct.approximate { "about " } else { "" };
        let evidence = format!("{about}{} different among {} values", thousands(distinct.count), thousands(values));
        self.about(column, "expect_column_values_to_be_unique", Vec::new(), evidence);
        true
    }

    /// Whether few values are all that there are.
    fn set(&mut self, column: &ColumnProfile) -> bool {
        let distinct = column.distinct.count;
        let few = match column.kind {
            Type::Text => FEW_TEXTS,
            Type::Int => FEW_NUMBERS,
            _ => return false,
        };
        if distinct > few || distinct > column.top.len() as u64 || column.values() < distinct * ROWS_A_VALUE {
            return false;
        }
        let Some(rarest) = column.top.last() else { return false };
        let mut values: Vec<_> = column.top.iter().map(|top| top.value.clone()).collect();
        values.sort_by(|a, b| a.compare(b).unwrap_or(std::cmp::Ordering::Equal));
        let values: Vec<_> = values.iter().map(Scalar::to_json).collect();
        if column.kind == Type::Int && !values.iter().all(Value::is_i64) {
            return false;
        }
        let (value, rows) = (rarest.value.to_json(), thousands(rarest.count));
        let evidence = match distinct {
            1 => format!("one value, {value}, in {rows} rows"),
            _ => format!("{distinct} values, the rarest, {value}, in {rows} rows"),
        };
        self.about(column, "expect_column_values_to_be_in_set", vec![("value_set", Value::Array(values))], evidence);
        self.or(Weakening::Mostly);
        true
    }

    fn range(&mut self, column: &ColumnProfile, is_unique: bool) {
        let (Some(min), Some(max)) = (&column.min, &column.max) else { return };
        let evidence = format!("from {min} to {max}");
        let (bounds, evidence) = match column.kind {
            Type::Date | Type::Timestamp | Type::Instant => {
                let text = min.to_string();
                let Some(year) = text.split('-').next().filter(|year| year.len() == 4) else { return };
                (
                    vec![("min_value", format!("{year}-01-01").into())],
                    format!("{evidence}; time goes on, so no upper bound"),
                )
            }
            Type::Int | Type::Decimal(_) | Type::Float => {
                let (Some(low), Some(high)) = (min.as_f64(), max.as_f64()) else { return };
                let is_key = is_unique || is_named_as_key(&column.name);
                let Some((bounds, more)) = numbers(column, low, high, is_key) else { return };
                (bounds, format!("{evidence}{more}"))
            }
            _ => return,
        };
        if !bounds.is_empty() {
            self.about(column, "expect_column_values_to_be_between", bounds, evidence);
            self.or(Weakening::Mostly);
        }
    }

    fn text(&mut self, column: &ColumnProfile, text: &TextProfile) {
        let evidence = format!("from {} to {} characters", text.min_length, text.max_length);
        if let Some(regex) = text.all_patterns.as_deref().and_then(form) {
            let most = text.patterns.first();
            let most = most.map(|most| format!("most often {} ({})", most.pattern, thousands(most.count)));
            let evidence = format!("{evidence}; {}", most.unwrap_or_default());
            self.about(column, "expect_column_values_to_match_regex", vec![("regex", regex.into())], evidence);
        } else if text.min_length == text.max_length {
            let length = vec![("value", text.min_length.into())];
            self.about(column, "expect_column_value_lengths_to_equal", length, evidence);
        } else {
            let mut bounds = Vec::new();
            if text.min_length > 0 {
                bounds.push(("min_value", 1.into()));
            }
            bounds.push(("max_value", whole(above(text.max_length as f64 * 1.5))));
            self.about(column, "expect_column_value_lengths_to_be_between", bounds, evidence);
        }
        self.or(Weakening::Mostly);
    }
}

fn is_named_as_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["id", "key", "code", "zip"].iter().any(|end| name.ends_with(end))
}

/// One regular expression for texts of these patterns, where few forms with digits in them fit all.
fn form(patterns: &[String]) -> Option<String> {
    type Runs = Vec<(char, usize, usize)>;
    let mut forms: BTreeMap<String, Runs> = BTreeMap::new();
    for pattern in patterns {
        if !pattern.is_ascii() || !pattern.contains('9') {
            return None;
        }
        let mut runs: Runs = Vec::new();
        for character in pattern.chars() {
            match runs.last_mut() {
                Some((last, least, most)) if *last == character => (*least, *most) = (*least + 1, *most + 1),
                _ => runs.push((character, 1, 1)),
            }
        }
        let name: String = runs.iter().map(|(character, ..)| character).collect();
        if let Some(known) = forms.get_mut(&name) {
            for (known, new) in known.iter_mut().zip(&runs) {
                (known.1, known.2) = (known.1.min(new.1), known.2.max(new.2));
            }
        } else if forms.len() < FORMS {
            forms.insert(name, runs);
        } else {
            return None;
        }
    }
    let run = |(character, least, most): &(char, usize, usize)| {
        let class = match character {
            '9' => "[0-9]".to_owned(),
            'A' => "[A-Z]".to_owned(),
            'a' => "[a-z]".to_owned(),
            other => regex::escape(other.encode_utf8(&mut [0; 4])),
        };
        // Numbers and words of several lengths may have others yet.
        match (*least, *most) {
            (1, 1) => class,
            (least, most) if least == most => format!("{class}{{{least}}}"),
            _ => format!("{class}+"),
        }
    };
    let forms: Vec<String> = forms.values().map(|runs| runs.iter().map(run).collect()).collect();
    match forms.as_slice() {
        [] => None,
        [form] => Some(format!("^{form}$")),
        forms => Some(format!("^({})$", forms.join("|"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_forms() {
        let form = |patterns: &[&str]| form(&patterns.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(form(&["99999", "999999"]).as_deref(), Some("^[0-9]+$"));
        assert_eq!(form(&["99999", "A99999"]).as_deref(), Some("^([0-9]{5}|[A-Z][0-9]{5})$"));
        assert_eq!(form(&["AA-9999-999999"]).as_deref(), Some("^[A-Z]{2}\\-[0-9]{4}\\-[0-9]{6}$"));
        assert_eq!(form(&["Aaaa"]), None);
        assert_eq!(form(&["9a", "9A", "9-", "9."]), None);
    }
}
