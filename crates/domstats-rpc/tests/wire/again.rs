//! Splits streams into packets, and decodes and re-encodes every message: for the tests and the
//! fuzz target alike.

use domstats_rpc::{
    Header, Packet, Xdr,
    message::RemoteError,
    packet::BadLength,
    procedure::*,
    xdr::{Decoder, Encoder, Fault},
};

/// Returns the packets of a stream that arrives in chunks, up to its first error.
pub(crate) fn packets<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<(Header, Vec<u8>), BadLength>> {
    let mut packets = Vec::new();
    let mut stream = Vec::new();
    for chunk in chunks {
        stream.extend_from_slice(chunk);
        loop {
            match Packet::split(&stream) {
                Ok(Some((packet, length))) => {
                    packets.push(Ok((packet.header, packet.payload.to_vec())));
                    stream.drain(..length);
                }
                Ok(None) => break,
                Err(error) => {
                    packets.push(Err(error));
                    return packets;
                }
            }
        }
    }
    packets
}

/// Decodes a payload and re-encodes it.
pub(crate) type Again = fn(&[u8]) -> Result<Vec<u8>, Fault>;

/// Every procedure of the crate: its number, its arguments, its result.
pub(crate) const PROCEDURES: [(i32, Again, Again); 70] = [
    messages::<ConnectOpen>(),
    messages::<ConnectClose>(),
    messages::<ConnectGetType>(),
    messages::<ConnectGetVersion>(),
    messages::<ConnectGetMaxVcpus>(),
    messages::<NodeGetInfo>(),
    messages::<ConnectGetCapabilities>(),
    messages::<DomainGetXmlDesc>(),
    messages::<DomainGetAutostart>(),
    messages::<DomainGetInfo>(),
    messages::<DomainGetMaxMemory>(),
    messages::<DomainGetMaxVcpus>(),
    messages::<DomainGetOsType>(),
    messages::<DomainGetVcpus>(),
    messages::<ConnectListDefinedDomains>(),
    messages::<DomainLookupById>(),
    messages::<DomainLookupByName>(),
    messages::<DomainLookupByUuid>(),
    messages::<ConnectNumOfDefinedDomains>(),
    messages::<ConnectListDomains>(),
    messages::<ConnectNumOfDomains>(),
    messages::<ConnectGetHostname>(),
    messages::<ConnectSupportsFeature>(),
    messages::<DomainBlockStats>(),
    messages::<DomainInterfaceStats>(),
    messages::<AuthList>(),
    messages::<AuthSaslInit>(),
    messages::<AuthSaslStart>(),
    messages::<AuthSaslStep>(),
    messages::<AuthPolkit>(),
    messages::<NodeGetFreeMemory>(),
    messages::<ConnectDomainEventRegister>(),
    messages::<ConnectDomainEventDeregister>(),
    messages::<ConnectGetUri>(),
    messages::<DomainGetSecurityLabel>(),
    messages::<NodeGetSecurityModel>(),
    messages::<ConnectIsSecure>(),
    messages::<DomainIsActive>(),
    messages::<DomainIsPersistent>(),
    messages::<ConnectGetLibVersion>(),
    messages::<DomainMemoryStats>(),
    messages::<DomainGetJobInfo>(),
    messages::<ConnectDomainEventRegisterAny>(),
    messages::<ConnectDomainEventDeregisterAny>(),
    messages::<DomainHasManagedSaveImage>(),
    messages::<DomainGetBlockInfo>(),
    messages::<DomainGetVcpusFlags>(),
    messages::<DomainGetState>(),
    messages::<NodeGetCpuStats>(),
    messages::<NodeGetMemoryStats>(),
    messages::<DomainGetControlInfo>(),
    messages::<DomainGetVcpuPinInfo>(),
    messages::<DomainBlockStatsFlags>(),
    messages::<DomainGetBlockIoTune>(),
    messages::<DomainGetCpuStats>(),
    messages::<DomainGetDiskErrors>(),
    messages::<DomainGetMetadata>(),
    messages::<ConnectListAllDomains>(),
    messages::<ConnectListAllStoragePools>(),
    messages::<NodeGetCpuMap>(),
    messages::<DomainGetJobStats>(),
    messages::<ConnectDomainEventCallbackRegisterAny>(),
    messages::<ConnectDomainEventCallbackDeregisterAny>(),
    messages::<ConnectGetAllDomainStats>(),
    messages::<DomainGetIothreadInfo>(),
    messages::<DomainInterfaceAddresses>(),
    messages::<ConnectRegisterCloseCallback>(),
    messages::<ConnectUnregisterCloseCallback>(),
    messages::<DomainGetMessages>(),
    messages::<DomainGetAutostartOnce>(),
];

const fn messages<P: Procedure>() -> (i32, Again, Again) {
    (P::NUMBER, args::<P>, reply::<P>)
}

/// Re-encodes the arguments of a procedure.
pub(crate) fn args<P: Procedure>(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    again::<P::Args<'_>>(payload)
}

/// Re-encodes the result of a procedure.
pub(crate) fn reply<P: Procedure>(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    again::<P::Reply<'_>>(payload)
}

/// Re-encodes the error of any procedure.
pub(crate) fn error(payload: &[u8]) -> Result<Vec<u8>, Fault> {
    again::<RemoteError<'_>>(payload)
}

fn again<'a, T: Xdr<'a>>(payload: &'a [u8]) -> Result<Vec<u8>, Fault> {
    let mut input = Decoder::new(payload);
    let value = T::decode(&mut input)?;
    let taken = payload.len() - input.rest().len();
    assert!(taken >= T::MIN_SIZE && taken.is_multiple_of(4), "{taken} bytes taken");
    encoded(&value)
}

/// Encodes a value.
pub(crate) fn encoded<'a>(value: &impl Xdr<'a>) -> Result<Vec<u8>, Fault> {
    let mut out = Encoder::default();
    value.encode(&mut out);
    out.finish()
}

/// Asserts for every message type that a payload either does not decode, or settles after one
/// re-encoding, which may change flags, padding and text that is not UTF-8. A second changes
/// nothing.
pub(crate) fn settles(payload: &[u8]) {
    let messages = PROCEDURES.iter().flat_map(|(_, args, reply)| [args, reply]);
    for again in messages.chain([&(error as Again)]) {
        if let Ok(once) = again(payload) {
            assert_eq!(again(&once).as_ref(), Ok(&once));
        }
    }
}

/// Asserts that cutting a client's or server's stream into chunks changes nothing, and that its
/// payloads settle as every message type. The first byte sets the size of the chunks.
pub(crate) fn stream_settles(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else { return };
    let whole = packets([stream]);
    assert_eq!(whole, packets(stream.chunks(usize::from(*size) + 1)));
    for (_, payload) in whole.iter().flatten() {
        settles(payload);
    }
}
