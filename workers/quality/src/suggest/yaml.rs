//! A suggestion as the text of a suite's file.

use serde_json::Value;

use super::{Candidate, Suggestion};

pub(super) fn file(suggestion: &Suggestion) -> String {
    let mut text = String::new();
    comment(&mut text, "", &suggestion.head);
    comment(&mut text, "", "It says what was so; what must be so is yours to decide before you commit it.");
    text.push_str(&format!("suite: {}\nchecks:\n", scalar(&Value::from(suggestion.name.as_str()))));
    for candidate in &suggestion.candidates {
        comment(&mut text, "  ", &candidate.evidence);
        if let Some(weakened) = &candidate.weakened {
            comment(&mut text, "  ", &format!("weakened: {weakened}"));
        }
        text.push_str(&format!("  - {}\n", check(candidate)));
    }
    if !suggestion.notes.is_empty() {
        comment(&mut text, "", "");
        comment(&mut text, "", "To look at:");
    }
    for note in &suggestion.notes {
        comment(&mut text, "", &format!("- {note}"));
    }
    text
}

/// A check on one line.
pub(super) fn check(candidate: &Candidate) -> String {
    let arguments: Vec<_> =
        candidate.arguments.iter().map(|(name, value)| format!("{name}: {}", scalar(value))).collect();
    format!("{}: {{ {} }}", candidate.expectation, arguments.join(", "))
}

/// A line that stays a comment, whatever the data put into it.
pub(crate) fn comment(text: &mut String, indent: &str, line: &str) {
    let line: String = line.chars().map(|c| if must_be_escaped(c) { '\u{fffd}' } else { c }).collect();
    text.push_str(format!("{indent}# {line}").trim_end());
    text.push('\n');
}

/// A value in YAML's flow style.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    const OTHER_THAN_TEXT: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan"];
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word && !OTHER_THAN_TEXT.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    if !text.contains('\'') && !text.chars().any(must_be_escaped) {
        return format!("'{text}'");
    }
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if must_be_escaped(c) => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML does not allow, or reads as the end of a line or of the text.
fn must_be_escaped(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_were() {
        for text in
            ["a", "Yes", "", " x ", "it's", "a\"b\\", "\0\n\t\u{85}\u{2028}\u{feff}", "# no", "1", "{", "🦀", "%"]
        {
            let yaml = format!("value: {{ a: [{}] }}", string(text));
            let document = workflow::yaml::Document::parse("a.yaml", &yaml).expect("YAML");
            assert_eq!(document.value["value"]["a"][0], text, "{yaml}");
        }
    }
}
