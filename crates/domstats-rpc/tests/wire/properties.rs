//! Every value survives encoding and decoding, and any bytes either decode or are refused.

use std::{borrow::Cow, fmt::Debug};

use domstats_rpc::{
    Header, Kind, Packet, Program, Status, Xdr,
    message::*,
    xdr::{Chars, Decoder, Fault, List},
};
use proptest::{collection::vec, option, prelude::*};

use crate::again::{encoded, packets, settles};

/// Asserts that the bytes decode to this value, and that no shorter prefix decodes.
fn are<'a, T: Xdr<'a> + PartialEq + Debug>(
    value: &T,
    bytes: &'a [u8],
) -> Result<(), TestCaseError> {
    let mut input = Decoder::new(bytes);
    prop_assert_eq!(&T::decode(&mut input).unwrap(), value);
    prop_assert_eq!(input.rest(), []);
    for length in 0..bytes.len() {
        let refused = T::decode(&mut Decoder::new(&bytes[..length]));
        prop_assert!(matches!(refused, Err(Fault::Short { .. })), "{length}: {refused:?}");
    }
    Ok(())
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    ".{0,9}".prop_map(Cow::Owned)
}

fn domain() -> impl Strategy<Value = Domain<'static>> {
    (text(), any::<[u8; 16]>(), any::<i32>()).prop_map(|(name, uuid, id)| Domain { name, uuid, id })
}

fn domains<const MAX: usize>() -> impl Strategy<Value = List<Domain<'static>, MAX>> {
    vec(domain(), 0..5).prop_map(List)
}

fn sasl() -> impl Strategy<Value = SaslData> {
    vec(any::<u8>(), 0..9).prop_map(Chars)
}

fn value() -> impl Strategy<Value = ParamValue<'static>> {
    prop_oneof![
        any::<i32>().prop_map(ParamValue::Int),
        any::<u32>().prop_map(ParamValue::UInt),
        any::<i64>().prop_map(ParamValue::LLong),
        any::<u64>().prop_map(ParamValue::ULLong),
        any::<f64>().prop_map(ParamValue::Double),
        any::<bool>().prop_map(ParamValue::Boolean),
        text().prop_map(ParamValue::String),
    ]
}

fn record() -> impl Strategy<Value = StatsRecord<'static>> {
    let param = (text(), value()).prop_map(|(field, value)| TypedParam { field, value });
    (domain(), vec(param, 0..5))
        .prop_map(|(domain, params)| StatsRecord { domain, params: List(params) })
}

fn error() -> impl Strategy<Value = RemoteError<'static>> {
    let network = (text(), any::<[u8; 16]>()).prop_map(|(name, uuid)| Network { name, uuid });
    let texts = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    (any::<[i32; 5]>(), texts, option::of(domain()), option::of(network)).prop_map(
        |([code, origin, level, int1, int2], (message, str1, str2, str3), domain, network)| {
            RemoteError {
                code,
                origin,
                message,
                level,
                domain,
                str1,
                str2,
                str3,
                int1,
                int2,
                network,
            }
        },
    )
}

/// Four-byte words like those in messages: short lengths, types, flags, text, anything.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        6 => (0_u32..9).prop_map(u32::to_be_bytes),
        2 => prop::array::uniform4(b'a'..=b'z'),
        1 => any::<[u8; 4]>(),
    ];
    (vec(word, 0..60), vec(any::<u8>(), 0..4))
        .prop_map(|(words, rest)| [words.concat(), rest].concat())
}

/// Tests that values of a type survive encoding and decoding.
macro_rules! come_back {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(value in $strategy) {
                are(&value, &encoded(&value).unwrap())?;
            }
        )*}
    };
}

come_back! {
    numbers_come_back: any::<i32>();
    large_numbers_come_back: any::<u64>();
    strings_come_back: text();
    domains_come_back: domain();
    optional_values_come_back: option::of(domain());
    records_come_back: vec(record(), 0..5).prop_map(List::<_, 16_384>);
    errors_come_back: error();
    open_args_come_back: (option::of(text()), any::<u32>())
        .prop_map(|(name, flags)| OpenArgs { name, flags });
    auth_types_come_back: vec(any::<i32>(), 0..=20).prop_map(List::<_, 20>);
    sasl_starts_come_back: (text(), any::<bool>(), sasl())
        .prop_map(|(mechanism, nil, data)| SaslStartArgs { mechanism, nil, data });
    sasl_steps_come_back: (any::<bool>(), sasl())
        .prop_map(|(nil, data)| SaslStepArgs { nil, data });
    sasl_replies_come_back: (any::<bool>(), any::<bool>(), sasl())
        .prop_map(|(complete, nil, data)| SaslReply { complete, nil, data });
    state_args_come_back: (domain(), any::<u32>())
        .prop_map(|(domain, flags)| StateArgs { domain, flags });
    states_come_back: (any::<i32>(), any::<i32>())
        .prop_map(|(state, reason)| StateReply { state, reason });
    list_args_come_back: (any::<bool>(), any::<u32>())
        .prop_map(|(need_results, flags)| ListDomainsArgs { need_results, flags });
    lists_come_back: (domains(), any::<u32>())
        .prop_map(|(domains, count)| ListedDomains { domains, count });
    stats_args_come_back: (domains(), any::<u32>(), any::<u32>())
        .prop_map(|(domains, stats, flags)| DomainStatsArgs { domains, stats, flags });
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(payload in words()) {
        settles(&payload);
    }

    #[test]
    fn any_stream_may_be_cut_anywhere(
        stream in vec((0_u32..60, words()), 0..9),
        size in 1_usize..99,
    ) {
        let stream: Vec<u8> = stream
            .into_iter()
            .flat_map(|(length, rest)| [&length.to_be_bytes()[..], &rest].concat())
            .collect();
        let whole = packets([stream.as_slice()]);
        prop_assert_eq!(&packets(stream.chunks(size)), &whole);
    }

    #[test]
    fn packets_come_back(
        procedure in any::<i32>(),
        numbers in any::<[u32; 4]>(),
        value in domain(),
        surplus in vec(any::<u8>(), 0..9),
    ) {
        // Numbers that have names would decode to the names.
        let [program, kind, serial, status] = numbers.map(|number| number.max(3));
        let header = Header {
            program: Program::Other(program),
            version: 1,
            procedure,
            kind: Kind::Other(kind),
            serial,
            status: Status::Other(status),
        };
        let mut stream = header.packet(&value).unwrap();
        prop_assert_eq!(&header.packet_of(&encoded(&value).unwrap()).unwrap(), &stream);
        let length = stream.len();
        stream.extend(surplus);
        let (packet, taken) = Packet::split(&stream).unwrap().unwrap();
        prop_assert_eq!((packet.header, taken), (header, length));
        prop_assert_eq!(packet.decode(), Ok(value));
    }

    #[test]
    fn bytes_after_a_value_are_ignored(value in record(), surplus in vec(any::<u8>(), 0..9)) {
        let bytes = [encoded(&value).unwrap(), surplus.clone()].concat();
        let mut input = Decoder::new(&bytes);
        prop_assert_eq!(StatsRecord::decode(&mut input), Ok(value));
        prop_assert_eq!(input.rest(), surplus);
    }

    #[test]
    fn any_flag_but_zero_is_true(flag: u32) {
        let bytes = [flag.to_be_bytes(), [0, 0, 0, 7]].concat();
        prop_assert_eq!(bool::decode(&mut Decoder::new(&bytes)), Ok(flag != 0));
        let value = (flag != 0).then_some(7);
        prop_assert_eq!(Option::<u32>::decode(&mut Decoder::new(&bytes)), Ok(value));
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused(number: i32) {
        prop_assume!(!(1..=7).contains(&number));
        let bytes = [encoded(&number).unwrap(), vec![0; 16]].concat();
        let refused = ParamValue::decode(&mut Decoder::new(&bytes));
        prop_assert_eq!(refused, Err(Fault::UnknownType(number)));
    }

    #[test]
    fn floating_point_numbers_keep_every_bit(bits: u64) {
        let number = f64::from_bits(bits);
        let again = f64::decode(&mut Decoder::new(&encoded(&number).unwrap())).unwrap();
        prop_assert_eq!(again.to_bits(), bits);
    }

    #[test]
    fn names_decode_from_any_encoding(name in vec(any::<u8>(), 0..20), fill: u8) {
        let mut bytes = encoded(&(name.len() as u32)).unwrap();
        bytes.extend(&name);
        bytes.resize(bytes.len().next_multiple_of(4), fill);
        let read: Cow<'_, str> = Xdr::decode(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(read, String::from_utf8_lossy(&name));
    }
}

#[test]
fn values_have_the_types_of_libvirt() {
    for (number, value, bytes) in [
        (1, ParamValue::Int(-2), &b"\xff\xff\xff\xfe"[..]),
        (2, ParamValue::UInt(0xffff_fffe), b"\xff\xff\xff\xfe"),
        (3, ParamValue::LLong(-2), b"\xff\xff\xff\xff\xff\xff\xff\xfe"),
        (4, ParamValue::ULLong(1 << 32), b"\0\0\0\x01\0\0\0\0"),
        (5, ParamValue::Double(-1.5), b"\xbf\xf8\0\0\0\0\0\0"),
        (6, ParamValue::Boolean(true), b"\0\0\0\x01"),
        (7, ParamValue::String("vda1!".into()), b"\0\0\0\x05vda1!\0\0\0"),
    ] {
        assert_eq!(encoded(&value), Ok([&[0, 0, 0, number], bytes].concat()));
    }
}

#[test]
fn a_char_takes_four_bytes_and_has_a_sign() {
    let data = Chars::<4>(vec![b'a', 0x80, 0xff]);
    let bytes = encoded(&data).unwrap();
    assert_eq!(bytes, b"\0\0\0\x03\0\0\0a\xff\xff\xff\x80\xff\xff\xff\xff");
    // As encoded where `char` is unsigned.
    let unsigned = b"\0\0\0\x03\0\0\0a\0\0\0\x80\0\0\0\xff";
    assert_eq!(Chars::decode(&mut Decoder::new(unsigned)), Ok(data));
}
