//! The limits at their boundaries, for encoding and decoding.

use std::borrow::Cow;

use domstats_rpc::{
    Header, Kind, Packet, Program, Status, Xdr, limits,
    message::*,
    packet::{BadLength, VERSION},
    procedure::{self, *},
    xdr::{Chars, Fault, List},
};

use crate::again::{self, Again, encoded};

fn domain() -> Domain<'static> {
    Domain { name: "".into(), uuid: [0; 16], id: -1 }
}

fn record(params: usize) -> StatsRecord<'static> {
    let param = TypedParam { field: "".into(), value: ParamValue::Int(1) };
    StatsRecord { domain: domain(), params: List(vec![param; params]) }
}

/// Asserts that `limit` items or bytes pass, and that encoding and decoding refuse one more. Their
/// count follows `behind` bytes.
fn ends_at<'a, T: Xdr<'a>>(limit: usize, behind: usize, again: Again, of: impl Fn(usize) -> T) {
    let too_long = Err(Fault::TooLong { length: limit + 1, limit });
    let mut bytes = encoded(&of(limit)).unwrap();
    assert!(again(&bytes).as_ref() == Ok(&bytes), "{limit}");
    assert_eq!(encoded(&of(limit + 1)), too_long);
    bytes[behind..behind + 4].copy_from_slice(&(limit as u32 + 1).to_be_bytes());
    assert_eq!(again(&bytes), too_long);
}

#[test]
fn a_string_has_at_most_four_mebibytes() {
    let again = again::reply::<ConnectGetHostname>;
    ends_at::<Cow<'_, str>>(4_194_304, 0, again, |bytes| "x".repeat(bytes).into());
}

#[test]
fn a_list_has_at_most_16384_domains() {
    ends_at(16_384, 0, again::reply::<ConnectListAllDomains>, |count| ListedDomains {
        domains: List(vec![domain(); count]),
        count: 0,
    });
    ends_at(16_384, 0, again::args::<ConnectGetAllDomainStats>, |count| DomainStatsArgs {
        domains: List(vec![domain(); count]),
        stats: 0,
        flags: 0,
    });
    let again = again::reply::<ConnectGetAllDomainStats>;
    ends_at::<StatsRecords<'_>>(16_384, 0, again, |count| List(vec![record(0); count]));
}

#[test]
fn a_record_has_at_most_262144_params() {
    let again = again::reply::<ConnectGetAllDomainStats>;
    // After the number of records, and a domain with an empty name.
    ends_at::<StatsRecords<'_>>(262_144, 28, again, |count| List(vec![record(count)]));
}

#[test]
fn authentication_has_at_most_20_types_and_64_kibibytes() {
    ends_at::<AuthTypes>(20, 0, again::reply::<AuthList>, |count| List(vec![AUTH_SASL; count]));
    ends_at(65_536, 4, again::args::<AuthSaslStep>, |bytes| SaslStepArgs {
        nil: false,
        data: Chars(vec![b'x'; bytes]),
    });
}

#[test]
fn a_packet_has_at_most_32_mebibytes() {
    // The header, the number of domains twice, and eight domains of this size.
    let name = "x".repeat((limits::PACKET - 24 - 8) / 8 - 24);
    let domains = vec![Domain { name: name.into(), ..domain() }; 8];
    let mut listed = ListedDomains { domains: List(domains), count: 8 };

    let packet = procedure::reply::<ConnectListAllDomains>(1, &listed).unwrap();
    assert_eq!(packet.len(), limits::PACKET + 4);
    let (whole, length) = Packet::split(&packet).unwrap().unwrap();
    assert_eq!(length, packet.len());
    assert!(whole.decode() == Ok(listed.clone()));

    listed.domains.0[0].name.to_mut().push('x');
    assert_eq!(
        procedure::reply::<ConnectListAllDomains>(1, &listed),
        Err(Fault::TooLong { length: limits::PACKET + 4, limit: limits::PACKET })
    );
}

#[test]
fn an_invalid_packet_length_is_refused_at_once() {
    for word in (0..28).chain([33_554_437, 0x7fff_ffff, u32::MAX]) {
        assert_eq!(Packet::split(&word.to_be_bytes()), Err(BadLength(word)));
    }
    for word in [28_u32, 29, 33_554_436] {
        assert_eq!(Packet::split(&word.to_be_bytes()), Ok(None));
    }
    assert_eq!(BadLength(27).to_string(), "a packet cannot be 27 bytes long, only 28 to 33554436");
}

#[test]
fn the_shortest_packet_is_a_header() {
    let header = Header {
        program: Program::Other(7),
        version: VERSION,
        procedure: -5,
        kind: Kind::Other(6),
        serial: u32::MAX,
        status: Status::Other(2),
    };
    let packet = header.packet(&()).unwrap();
    assert_eq!(Packet::split(&packet), Ok(Some((Packet { header, payload: &[] }, 28))));
    assert_eq!(Packet::split(&packet[..27]), Ok(None));
}
