//! The recorded streams and their packets.

use std::{fs, path::PathBuf};

use domstats_rpc::{
    Header, Kind, Program, Status, Xdr, packet::VERSION, procedure::Procedure, xdr::Decoder,
};

use crate::again::{self, Again, PROCEDURES, packets};

fn captures() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "captures"].iter().collect()
}

pub(crate) fn read(capture: &str, file: &str) -> Vec<u8> {
    fs::read(captures().join(capture).join(file)).unwrap()
}

/// Returns every stream, with the name of its capture and its side.
pub(crate) fn streams() -> Vec<(String, &'static str, Vec<u8>)> {
    let entries = fs::read_dir(captures()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut streams = Vec::new();
    for name in names {
        for side in ["c2s", "s2c"] {
            if let Ok(bytes) = fs::read(captures().join(&name).join(format!("{side}.bin"))) {
                streams.push((name.clone(), side, bytes));
            }
        }
    }
    assert_eq!(streams.len(), 43);
    streams
}

pub(crate) fn whole(stream: &[u8]) -> Vec<(Header, Vec<u8>)> {
    packets([stream]).into_iter().collect::<Result<_, _>>().unwrap()
}

/// Returns the function that re-encodes the payload after a header, if the crate knows the message.
pub(crate) fn known(header: &Header) -> Option<Again> {
    if (header.program, header.version) != (Program::Remote, VERSION) {
        return None;
    }
    let procedure = PROCEDURES.iter().find(|(number, ..)| *number == header.procedure);
    match (header.kind, header.status) {
        (Kind::Call, Status::Ok) => procedure.map(|(_, args, _)| *args),
        (Kind::Reply, Status::Ok) => procedure.map(|(_, _, reply)| *reply),
        (Kind::Reply, Status::Error) => Some(again::error),
        _ => None,
    }
}

pub(crate) struct Exchange {
    pub(crate) call: Header,
    pub(crate) args: Vec<u8>,
    pub(crate) reply: Header,
    pub(crate) result: Vec<u8>,
}

/// Returns the calls of a capture, each with its reply.
pub(crate) fn exchanges(capture: &str) -> Vec<Exchange> {
    let only = |file, kind| {
        whole(&read(capture, file)).into_iter().filter(move |(header, _)| header.kind == kind)
    };
    let calls: Vec<_> = only("c2s.bin", Kind::Call).collect();
    let replies: Vec<_> = only("s2c.bin", Kind::Reply).collect();
    assert_eq!(calls.len(), replies.len(), "{capture}");
    calls
        .into_iter()
        .zip(replies)
        .map(|((call, args), (reply, result))| Exchange { call, args, reply, result })
        .collect()
}

/// Returns the calls of a procedure in a capture, each with its reply.
pub(crate) fn exchanges_of<P: Procedure>(capture: &str) -> Vec<Exchange> {
    let mut exchanges = exchanges(capture);
    exchanges.retain(|exchange| exchange.call.procedure == P::NUMBER);
    assert!(!exchanges.is_empty(), "{capture}");
    exchanges
}

pub(crate) fn decoded<'a, T: Xdr<'a>>(payload: &'a [u8]) -> T {
    let mut input = Decoder::new(payload);
    let value = T::decode(&mut input).unwrap();
    assert_eq!(input.rest(), []);
    value
}
