//! One pass over a record's JSON: the fields that the stream needs, into their slots.

use std::{borrow::Cow, fmt};

use chrono::DateTime;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use uuid::Uuid;

use crate::spec::{Fields, Layout, Stream, expr::Value};

/// A record as it came from the log.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub produced_at: i64,
    /// The clock of who reads it, in milliseconds since 1970: the core has none of its own.
    pub read_at: i64,
    /// Its value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// The value in a slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or an object where a scalar is needed.
    Nested,
}

impl Cell<'_> {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Null | Self::Nested => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Number(*value as f64),
            Self::Float(value) => Value::Number(*value),
            Self::Text(text) => Value::Text(text),
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Nested => "a list or an object",
        }
    }
}

/// Tells one event from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum EventId {
    Uuid(Uuid),
    Text(Box<str>),
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(id) => id.fmt(out),
            Self::Text(id) => out.write_str(id),
        }
    }
}

/// What a stream needs of one event.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) id: EventId,
    /// Microseconds since 1970.
    pub(crate) time: i64,
    pub(crate) fields: Vec<Cell<'a>>,
    /// For each list, the fields of its items, item after item.
    pub(crate) lists: Vec<Vec<Cell<'a>>>,
}

/// Takes events out of records, for one stream.
#[derive(Debug)]
pub(crate) struct Scanner<'s>(pub(crate) &'s Stream);

impl Scanner<'_> {
    /// The event in `record`, or why it is malformed.
    pub(crate) fn scan<'a>(&self, record: RawRecord<'a>) -> Result<Event<'a>, String> {
        let stream = self.0;
        let payload = record.payload.ok_or("the record has no value")?;
        let mut row = Row {
            fields: vec![Cell::Null; stream.layout.fields.len()],
            lists: vec![Vec::new(); stream.layout.lists.len()],
        };
        let mut json = serde_json::Deserializer::from_slice(payload);
        RecordSeed { layout: &stream.layout, row: &mut row }
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|e| format!("not a JSON event: {e}"))?;
        let Row { fields, lists } = row;
        check_cells(&stream.layout.fields, &fields)?;
        for ((name, item_fields), cells) in stream.layout.lists.iter().zip(&lists) {
            for item in cells.chunks(item_fields.len().max(1)) {
                check_cells(item_fields, item).map_err(|fault| format!("{fault}, in an item of `{name}`"))?;
            }
        }
        for &slot in &stream.required {
            if fields[slot] == Cell::Null {
                return Err(format!("`{}` is missing", stream.layout.fields.name(slot)));
            }
        }
        let name = |slot| stream.layout.fields.name(slot);
        let id = match &fields[stream.event_id] {
            Cell::Text(text) => match Uuid::try_parse(text) {
                Ok(id) => EventId::Uuid(id),
                Err(_) => EventId::Text(text.as_ref().into()),
            },
            Cell::Integer(id) => EventId::Text(id.to_string().into()),
            Cell::Null => return Err(format!("`{}` is missing", name(stream.event_id))),
            other => return Err(format!("`{}` is {}, not an id", name(stream.event_id), other.noun())),
        };
        let time = match &fields[stream.event_time] {
            Cell::Text(text) => micros(text)
                .ok_or_else(|| format!("`{}` is not an RFC 3339 time: {text:.40}", name(stream.event_time)))?,
            Cell::Integer(millis) => millis
                .checked_mul(1_000)
                .ok_or_else(|| format!("`{}` is out of range: {millis}", name(stream.event_time)))?,
            Cell::Null => return Err(format!("`{}` is missing", name(stream.event_time))),
            other => return Err(format!("`{}` is {}, not a time", name(stream.event_time), other.noun())),
        };
        if !(0..=LATEST).contains(&time) {
            return Err(format!("`{}` is not between the years 1970 and 9999", name(stream.event_time)));
        }
        let (clock, whose) = if record.produced_at <= record.read_at {
            (record.produced_at, "the record's own timestamp")
        } else {
            (record.read_at, "the clock")
        };
        let ahead = time.saturating_sub(clock.saturating_mul(1_000));
        if ahead > stream.max_ahead {
            let seconds = ahead / 1_000_000;
            return Err(format!("`{}` is {seconds} s ahead of {whose}", name(stream.event_time)));
        }
        Ok(Event { id, time, fields, lists })
    }
}

/// Longest text that a field of a stream may hold: Postgres must be able to index it.
const LONGEST_TEXT: usize = 1_024;
/// The end of the year 9999, in microseconds: what every store and chart can show.
const LATEST: i64 = 253_402_300_799_999_999;

fn check_cells(fields: &Fields, cells: &[Cell<'_>]) -> Result<(), String> {
    for (slot, cell) in cells.iter().enumerate().take(fields.len()) {
        match cell {
            Cell::Text(text) if text.len() > LONGEST_TEXT => {
                return Err(format!(
                    "`{}` is {} bytes long; {LONGEST_TEXT} is the most",
                    fields.name(slot),
                    text.len()
                ));
            }
            Cell::Text(text) if text.contains('\0') => {
                return Err(format!("`{}` holds a NUL character, which Postgres cannot store", fields.name(slot)));
            }
            _ => {}
        }
    }
    for slot in fields.numeric() {
        match cells.get(slot) {
            Some(Cell::Null | Cell::Integer(_) | Cell::Float(_)) | None => {}
            Some(other) => return Err(format!("`{}` is {}, not a number", fields.name(slot), other.noun())),
        }
    }
    Ok(())
}

/// Microseconds since 1970 of an RFC 3339 time. Times in UTC, as services write them, take a short cut.
fn micros(text: &str) -> Option<i64> {
    utc_micros(text.as_bytes()).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros()))
}

/// `2026-01-31T23:59:59.123456Z`, with up to nine digits of a second or none; `None` for any other writing.
fn utc_micros(text: &[u8]) -> Option<i64> {
    let (main, rest) = text.split_at_checked(19)?;
    let fraction = rest.strip_suffix(b"Z")?;
    if main[4] != b'-' || main[7] != b'-' || main[10] != b'T' || main[13] != b':' || main[16] != b':' {
        return None;
    }
    let number = |from: usize, to: usize| {
        main[from..to]
            .iter()
            .try_fold(0_u32, |n, digit| digit.is_ascii_digit().then(|| n * 10 + u32::from(digit - b'0')))
    };
    let date = chrono::NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    let time = date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut micros = 0_i64;
            for place in 0..6 {
                let digit = digits.get(place).copied().unwrap_or(b'0');
                micros = micros * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
            }
            digits.iter().all(u8::is_ascii_digit).then_some(micros)?
        }
        _ => return None,
    };
    Some(time.and_utc().timestamp_micros() + micros)
}

struct Row<'de> {
    fields: Vec<Cell<'de>>,
    lists: Vec<Vec<Cell<'de>>>,
}

enum Target {
    Field(usize),
    List(usize),
    Other,
}

struct RecordSeed<'p, 'r, 'de> {
    layout: &'p Layout,
    row: &'r mut Row<'de>,
}

impl<'de> DeserializeSeed<'de> for RecordSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_, '_, 'de> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let find = |name: &str| match self.layout.fields.find(name) {
            Some(slot) => Target::Field(slot),
            None => self.layout.find_list(name).map_or(Target::Other, Target::List),
        };
        while let Some(target) = map.next_key_seed(KeySeed(find))? {
            match target {
                Target::Field(slot) => self.row.fields[slot] = map.next_value_seed(CellSeed)?,
                Target::List(list) => {
                    let cells = &mut self.row.lists[list];
                    cells.clear();
                    map.next_value_seed(ListSeed { fields: &self.layout.lists[list].1, cells })?;
                }
                Target::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds what a key stands for without keeping its text.
struct KeySeed<F>(F);

impl<'de, T, F: Fn(&str) -> T> DeserializeSeed<'de> for KeySeed<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_str(self)
    }
}

impl<T, F: Fn(&str) -> T> Visitor<'_> for KeySeed<F> {
    type Value = T;
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }
    fn visit_str<E>(self, name: &str) -> Result<T, E> {
        Ok((self.0)(name))
    }
}

struct ListSeed<'p, 'r, 'de> {
    fields: &'p Fields,
    cells: &'r mut Vec<Cell<'de>>,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_, 'de> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of objects")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(ItemSeed { fields: self.fields, cells: self.cells })?.is_some() {}
        Ok(())
    }
}

struct ItemSeed<'p, 'r, 'de> {
    fields: &'p Fields,
    cells: &'r mut Vec<Cell<'de>>,
}

impl<'de> DeserializeSeed<'de> for ItemSeed<'_, '_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ItemSeed<'_, '_, 'de> {
    type Value = ();
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let base = self.cells.len();
        self.cells.resize(base + self.fields.len().max(1), Cell::Null);
        while let Some(slot) = map.next_key_seed(KeySeed(|name: &str| self.fields.find(name)))? {
            match slot {
                Some(slot) => self.cells[base + slot] = map.next_value_seed(CellSeed)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct CellSeed;

impl<'de> DeserializeSeed<'de> for CellSeed {
    type Value = Cell<'de>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cell<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellSeed {
    type Value = Cell<'de>;
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Cell<'de>, E> {
        Ok(i64::try_from(value).map_or(Cell::Float(value as f64), Cell::Integer))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Float(value))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_cut_agrees_with_chrono() {
        for text in [
            "2026-01-31T23:59:59.123456Z",
            "2026-01-31T23:59:59Z",
            "1969-12-31T23:59:59.9Z",
            "2024-02-29T00:00:00.123456789Z",
        ] {
            let slow = DateTime::parse_from_rfc3339(text).expect(text).timestamp_micros();
            assert_eq!(utc_micros(text.as_bytes()), Some(slow), "{text}");
        }
        for text in
            ["2026-02-30T00:00:00Z", "2026-01-31 23:59:59Z", "2026-01-31T23:59:59.Z", "2026-01-31T23:59:5xZ", "x"]
        {
            assert_eq!(utc_micros(text.as_bytes()), None, "{text}");
        }
        assert_eq!(micros("2026-01-31T23:59:59+01:00"), micros("2026-01-31T22:59:59Z"));
    }
}
