//! What serde says of a value, in the words of whoever wrote the YAML.

use crate::diagnostic::nearest;

/// The message and a hint: `invalid type: string "many", expected u32` becomes
/// ``expected a whole number of 0 or more, found "many"``.
pub(super) fn plain(message: &str) -> (String, Option<String>) {
    if let Some(field) = message.strip_prefix("missing field ") {
        return (format!("{field} is missing"), None);
    }
    if let Some((found, known)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.strip_prefix("one of ").unwrap_or(known);
        let names = known.split('`').skip(1).step_by(2);
        let hint = nearest(found.trim_matches('`'), names).map(|near| format!("did you mean `{near}`?"));
        let expected = match known.rsplit_once(", ") {
            Some((others, last)) => format!("{others} or {last}"),
            None => known.to_owned(),
        };
        return (format!("expected {expected}, found {found}"), hint);
    }
    let wrong = ["invalid type: ", "invalid value: "].into_iter().find_map(|start| message.strip_prefix(start));
    if let Some((found, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        return (format!("expected {}, found {}", kind(expected), value(found)), None);
    }
    (message.to_owned(), None)
}

fn kind(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "a mapping",
        "a string" => "a text",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "a mapping",
        _ => expected,
    }
}

fn value(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a mapping",
        "null" | "unit value" => "nothing",
        _ => ["string ", "integer ", "floating point ", "boolean "]
            .into_iter()
            .find_map(|kind| found.strip_prefix(kind))
            .unwrap_or(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_is_put_into_plain_words() {
        let cases = [
            ("missing field `url`", "`url` is missing"),
            ("invalid type: string \"many\", expected u32", "expected a whole number of 0 or more, found \"many\""),
            ("invalid value: integer `-1`, expected u32", "expected a whole number of 0 or more, found `-1`"),
            ("invalid type: map, expected a sequence", "expected a list, found a mapping"),
            ("invalid type: null, expected struct Gate", "expected a mapping, found nothing"),
            ("unknown variant `wait`, expected one of `queue`, `skip`", "expected `queue` or `skip`, found `wait`"),
            ("unknown variant `x`, expected `once`", "expected `once`, found `x`"),
            ("expected true, false or a list of columns", "expected true, false or a list of columns"),
        ];
        for (message, expected) in cases {
            assert_eq!(plain(message), (expected.to_owned(), None));
        }
        let (said, hint) = plain("unknown variant `tabel`, expected one of `view`, `table`, `scd2`");
        assert_eq!(said, "expected `view`, `table` or `scd2`, found `tabel`");
        assert_eq!(hint.as_deref(), Some("did you mean `table`?"));
    }
}
