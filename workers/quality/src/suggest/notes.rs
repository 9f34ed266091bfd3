//! What a person should look at before a proposed suite is committed: what no check says, and what may be a fault of
//! whoever wrote the data down.

use crate::{
    profile::{ColumnProfile, TextProfile, thousands},
    types::Type,
    value::Scalar,
};

/// Texts that often stand where a null was meant, in lower case.
const STAND_INS: [&str; 11] = ["null", "none", "nil", "na", "n/a", "#n/a", "nan", "undefined", "-", "--", "?"];

/// Ends of names, in lower case and without blanks, of codes that may begin with a zero.
const POSTAL: [&str; 4] = ["zip", "zipcode", "postalcode", "postcode"];

/// The notes on a column, which has some values.
pub(super) fn notes(column: &ColumnProfile) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(text) = &column.text {
        notes.extend(blanks(column, text));
        notes.extend(stand_ins(column));
        notes.extend(numbers_as_text(column, text));
    }
    notes.extend(whole_floats(column));
    notes.extend(lost_zeros(column));
    if column.distinct.count == 1 && column.values() > 1 {
        notes.push(format!("`{}` has one value in all rows that have any", column.name));
    }
    notes
}

fn blanks(column: &ColumnProfile, text: &TextProfile) -> Vec<String> {
    [(text.blank, "are blank"), (text.padded, "begin or end with a blank")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| {
            format!("`{}`: {} of {} texts {what}", column.name, thousands(count), thousands(column.values()))
        })
        .collect()
}

/// Of rare texts a profile does not know, so what is told is among the most common.
fn stand_ins(column: &ColumnProfile) -> Vec<String> {
    let texts = column.top.iter().filter_map(|top| match &top.value {
        Scalar::Text(text) => Some((text, top.count)),
        _ => None,
    });
    texts
        .filter(|(text, _)| STAND_INS.contains(&text.trim().to_ascii_lowercase().as_str()))
        .map(|(text, count)| {
            let all = thousands(column.values());
            format!("`{}`: {} of {all} are the text '{text}', which may stand for null", column.name, thousands(count))
        })
        .collect()
}

/// Numbers that are text for no reason. A zero before the others is one.
fn numbers_as_text(column: &ColumnProfile, text: &TextProfile) -> Option<String> {
    let is_number = |pattern: &str| {
        let digits = pattern.strip_prefix(['-', '+']).unwrap_or(pattern);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "9"));
        [whole, fraction].iter().all(|part| !part.is_empty() && part.chars().all(|c| c == '9'))
    };
    let patterns = text.all_patterns.as_deref().filter(|patterns| !patterns.is_empty())?;
    if !patterns.iter().all(|pattern| is_number(pattern)) {
        return None;
    }
    // The least of such texts is one with a zero before others, if there is any.
    let (Some(Scalar::Text(least)), Some(Scalar::Text(most))) = (&column.min, &column.max) else { return None };
    if least.starts_with('0') && !least.starts_with("0.") {
        return None;
    }
    let floats = patterns.iter().all(|pattern| pattern.ends_with(".9"))
        && column.top.iter().all(|top| matches!(&top.value, Scalar::Text(text) if text.ends_with(".0")));
    let hint = if floats { "; whole ones with `.0` behind them were floats on their way here" } else { "" };
    Some(format!("`{}` is text and holds numbers only, such as {most}{hint}", column.name))
}

/// Ids and counts that became floats, as they do where a tool knows no null among whole numbers.
fn whole_floats(column: &ColumnProfile) -> Option<String> {
    if column.kind != Type::Float || column.distinct.count < 3 {
        return None;
    }
    let q = column.quantiles?;
    let seen = [&column.min, &column.max].into_iter().flatten().chain(column.top.iter().map(|top| &top.value));
    let mut seen = seen.filter_map(Scalar::as_f64).chain([q.p05, q.p25, q.p50, q.p75, q.p95]);
    seen.all(|number| number.is_finite() && number.fract() == 0.0).then(|| {
        format!(
            "`{}` is stored as {}, yet its least, greatest, middle and most common values are whole: an id or a count?",
            column.name, column.type_name
        )
    })
}

/// Postal codes that became numbers.
fn lost_zeros(column: &ColumnProfile) -> Option<String> {
    let name: String = column.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if column.kind != Type::Int || !POSTAL.iter().any(|end| name.ends_with(end)) {
        return None;
    }
    let (least, most) = (column.min.as_ref()?.to_string(), column.max.as_ref()?.to_string());
    (least.len() < most.len()).then(|| {
        format!(
            "`{}` is stored as {}, so that {least} may have lost zeros that {most} has not",
            column.name, column.type_name
        )
    })
}
