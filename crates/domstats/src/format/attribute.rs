//! Converts attributes of records to the values of documents and back.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value as Json;
use uuid::Uuid;

use crate::model::{
    catalogue::value::Leaf,
    stats::{AttributeType, AttributeValue, Value},
};

/// Returns the value that documents write.
pub(super) fn value(value: AttributeValue<'_>) -> Value<'_> {
    match value {
        AttributeValue::Text(text) => Value::String(text.into()),
        AttributeValue::Uuid(uuid) => Value::String(uuid.to_string().into()),
        AttributeValue::Number(number) => Value::UInt(number),
        AttributeValue::Flag(flag) => Value::Boolean(flag),
        AttributeValue::Words(words) => Value::String(words),
        AttributeValue::Time(time) => {
            // RFC 3339 has the years 1970 to 9999; any other is the time of a broken clock.
            const END: Duration = Duration::from_secs(253_402_300_799);
            let time = time.clamp(UNIX_EPOCH, UNIX_EPOCH + END);
            Value::String(humantime::format_rfc3339_nanos(time).to_string().into())
        }
        AttributeValue::Duration(duration) => {
            Value::ULLong(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
        }
    }
}

/// Reads a value of a type; `None` if it is not of that type.
pub(super) fn read(json: &Json, value_type: AttributeType) -> Option<AttributeValue<'_>> {
    Some(match value_type {
        AttributeType::Text => AttributeValue::Text(json.as_str()?),
        AttributeType::Uuid => AttributeValue::Uuid(Uuid::parse_str(json.as_str()?).ok()?),
        AttributeType::Number => AttributeValue::Number(u32::read(json)?),
        AttributeType::Flag => AttributeValue::Flag(bool::read(json)?),
        AttributeType::Words => AttributeValue::Words(json.as_str()?.into()),
        AttributeType::Time => AttributeValue::Time(humantime::parse_rfc3339(json.as_str()?).ok()?),
        AttributeType::Duration => AttributeValue::Duration(Duration::from_nanos(u64::read(json)?)),
    })
}
