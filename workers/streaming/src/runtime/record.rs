//! From librdkafka's messages to what the core and the dead letters need.

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};
use serde_json::{Map, Value};

use super::commit::Rejected;
use crate::core::RawRecord;

/// The record, its value borrowed from librdkafka's own buffer.
pub(super) fn raw<'m>(message: &'m BorrowedMessage<'_>, read_at: i64) -> RawRecord<'m> {
    RawRecord {
        offset: message.offset(),
        produced_at: message.timestamp().to_millis().unwrap_or_default(),
        read_at,
        payload: message.payload(),
    }
}

/// Most characters of a dead letter's detail.
const LONGEST_DETAIL: usize = 1_000;

/// The record as a dead letter, with its own bytes.
pub(super) fn rejected(message: &BorrowedMessage<'_>, reason: &'static str, detail: String) -> Rejected {
    // A parser's message may quote all of the record.
    let detail = detail.chars().take(LONGEST_DETAIL).collect();
    Rejected {
        offset: message.offset(),
        reason,
        detail,
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers(message),
    }
}

/// The record's headers by name, as text; of two of one name the later.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Value {
    let mut headers = Map::new();
    if let Some(all) = message.headers() {
        for header in all.iter() {
            // A JSON text in Postgres holds no NUL; a header that is not text is shown as well as it can be.
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
            headers.insert(text(header.key.as_bytes()), header.value.map_or(Value::Null, |v| text(v).into()));
        }
    }
    Value::Object(headers)
}
