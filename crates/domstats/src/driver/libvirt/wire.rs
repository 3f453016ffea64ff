//! libvirt's wire and this library's model: each conversion once, in both directions.

use std::borrow::Cow;

use domstats_rpc::message::{self, ParamValue, RemoteError};
use uuid::Uuid;

use crate::model::{
    error::{Error, ErrorKind, ErrorOrigin},
    identity::DomainInfo,
    name::Name,
    stats::Value,
};

/// Returns a daemon's error under libvirt's own number and origin.
pub(super) fn error(remote: &RemoteError<'_>) -> Error {
    if remote.is_unknown_procedure() {
        // libvirt's own client takes it for a call that the driver lacks.
        return Error::new(
            ErrorKind::NoSupport,
            ErrorOrigin::Rpc,
            format!("this libvirt is too old for the call: {remote}"),
        );
    }
    Error::new(
        ErrorKind::from_code(remote.code),
        ErrorOrigin::from_code(remote.origin),
        format!("libvirt: {remote}"),
    )
}

/// Returns a domain of the wire, which does not say whether it is persistent.
#[must_use]
pub fn domain_info(domain: &message::Domain<'_>) -> DomainInfo {
    DomainInfo {
        name: Name::from(domain.name.as_ref()),
        uuid: Some(Uuid::from_bytes(domain.uuid)),
        // -1 is an inactive domain.
        id: u32::try_from(domain.id).ok(),
        ..DomainInfo::default()
    }
}

/// Returns how a domain is named on the wire; `None` for one of another driver, without a UUID.
pub(super) fn domain(info: &DomainInfo) -> Option<message::Domain<'_>> {
    Some(message::Domain {
        name: Cow::Borrowed(&info.name),
        uuid: info.uuid?.into_bytes(),
        id: info.id.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1),
    })
}

/// Returns the value of a typed parameter.
#[must_use]
pub fn value<'a>(value: &'a ParamValue<'_>) -> Value<'a> {
    match value {
        ParamValue::Int(number) => Value::Int(*number),
        ParamValue::UInt(number) => Value::UInt(*number),
        ParamValue::LLong(number) => Value::LLong(*number),
        ParamValue::ULLong(number) => Value::ULLong(*number),
        ParamValue::Double(number) => Value::Double(*number),
        ParamValue::Boolean(truth) => Value::Boolean(*truth),
        ParamValue::String(text) => Value::String(Cow::Borrowed(text)),
    }
}

/// Returns a value as a typed parameter; `None` for many numbers, which libvirt has no type for.
#[must_use]
pub fn param(value: &Value<'_>) -> Option<ParamValue<'static>> {
    Some(match value {
        Value::Int(number) | Value::Word { code: number, .. } => ParamValue::Int(*number),
        Value::UInt(number) => ParamValue::UInt(*number),
        Value::LLong(number) => ParamValue::LLong(*number),
        Value::ULLong(number) => ParamValue::ULLong(*number),
        Value::Double(number) => ParamValue::Double(*number),
        Value::Boolean(truth) => ParamValue::Boolean(*truth),
        Value::String(text) => ParamValue::String(Cow::Owned(text.clone().into_owned())),
        Value::Numbers(_) => return None,
    })
}
