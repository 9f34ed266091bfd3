//! JSON text that Postgres would refuse, or keep only in part.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why `text` cannot be kept as `json`, or whole as `jsonb` where `binary`: of a key that an object has twice, `jsonb`
/// keeps only the last value.
pub(super) fn check(text: &str, binary: bool) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let checked = Check { binary }.deserialize(&mut reader).and_then(|()| reader.end());
    checked.map_err(|error| if error.is_data() { error.to_string() } else { format!("not valid JSON: {error}") })
}

#[derive(Clone, Copy)]
struct Check {
    binary: bool,
}

impl Check {
    fn text<E: Error>(text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom("JSON text holds a NUL character")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        Self::text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            Self::text(&key)?;
            entries.next_value_seed(self)?;
            if self.binary && seen.contains(&key) {
                return Err(A::Error::custom(format!("JSON has the key `{key}` twice, and jsonb would keep one")));
            }
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_would_not_keep_whole_is_refused() {
        for good in ["null", " 1.50 ", "[]", r#"{"a": {"a": [1, "\u00e9"]}, "b": {"a": 1}}"#] {
            assert_eq!(check(good, true), Ok(()), "{good}");
        }
        let twice = r#"[{"a": 1, "b": 2, "a": 3}]"#;
        assert_eq!(check(twice, false), Ok(()));
        assert!(check(twice, true).is_err_and(|why| why.starts_with("JSON has the key `a` twice")));
        for (bad, why) in [
            ("", "not valid JSON"),
            ("{} x", "not valid JSON"),
            (r#"["\ud800"]"#, "not valid JSON"),
            (r#"{"a\u0000": 1}"#, "JSON text holds a NUL"),
            (r#"["\u0000"]"#, "JSON text holds a NUL"),
        ] {
            assert!(check(bad, true).is_err_and(|found| found.starts_with(why)), "{bad}");
        }
    }
}
