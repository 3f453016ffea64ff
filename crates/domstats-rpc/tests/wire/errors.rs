//! How libvirt refuses calls, and that this crate refuses them with the same bytes.

use domstats_rpc::{
    Kind, Packet, Status,
    message::{RemoteError, code},
    procedure,
};

use crate::recorded::{Exchange, decoded, exchanges, read, whole};

/// The replies in the capture `errors`: code, origin, message.
const REFUSALS: [(i32, i32, &str); 33] = [
    (5, 0, "no connection driver available for URI 'garbage' does not include a driver name"),
    (5, 0, "no connection driver available for lxc:///system"),
    (1, 7, "internal error: connection not open"),
    (5, 0, "no connection driver available for qemu+unix:///system"),
    (39, 7, "Cannot find program 0 version 0"),
    (39, 7, "Unexpected message status 1"),
    (1, 7, "internal error: hypervisor connection not open"),
    (29, 20, "operation forbidden: read only access prevents virDomainDestroy"),
    (39, 7, "unknown procedure: 107"),
    (1, 7, "internal error: hypervisor connection not open"),
    (29, 20, "operation forbidden: read only access prevents virDomainGetFSInfo"),
    (29, 20, "operation forbidden: read only access prevents virDomainGetGuestInfo"),
    (29, 20, "operation forbidden: read only access prevents virDomainGetHostname"),
    (29, 20, "operation forbidden: read only access prevents virDomainInterfaceAddresses"),
    (
        42,
        10,
        "Domain not found: no domain with matching uuid '00000000-0000-0000-0000-000000000000' (vm1)",
    ),
    (8, 10, "unsupported flags (0x2000000) in function qemuConnectListAllDomains"),
    (39, 7, "unknown procedure: -5"),
    (42, 10, "Domain not found: no domain with matching name 'nosuchvm'"),
    (42, 10, "Domain not found: no domain with matching id 9999"),
    (
        42,
        10,
        "Domain not found: no domain with matching uuid '00000000-0000-0000-0000-000000000000'",
    ),
    (1, 7, "internal error: connection already open"),
    (29, 0, "operation forbidden: read only access prevents virDomainQemuMonitorCommand"),
    (29, 20, "operation forbidden: read only access prevents virDomainSetMemory"),
    (39, 7, "Unable to decode message payload"),
    (29, 20, "operation forbidden: read only access prevents virDomainShutdown"),
    (8, 10, "unsupported flags (0x100000) in function qemuConnectGetAllDomainStats"),
    (
        74,
        10,
        "argument unsupported: Stats types bits 0x40000000 are not supported by this daemon or QEMU",
    ),
    (39, 7, "Unable to decode message payload"),
    (39, 7, "unknown procedure: 9999"),
    (39, 7, "unknown procedure: 0"),
    (39, 7, "Cannot find program 305419896 version 1"),
    (39, 7, "Cannot find program 536903814 version 2"),
    (29, 20, "operation forbidden: virDomainGetXMLDesc with secure flag"),
];

#[test]
fn errors_decode_to_libvirts_codes_and_messages() {
    let exchanges = exchanges("errors");
    let errors: Vec<RemoteError<'_>> =
        exchanges.iter().map(|exchange| decoded(&exchange.result)).collect();
    let said: Vec<_> =
        errors.iter().map(|error| (error.code, error.origin, error.sentence())).collect();
    assert_eq!(said, REFUSALS);
    assert!(errors.iter().all(|error| error.level == 2 && error.domain.is_none()));
}

#[test]
fn refusals_match_libvirt_byte_for_byte() {
    let mut plain = 0;
    for capture in ["errors", "auth", "german", "go-libvirt", "sasl-scram-bad-password"] {
        for Exchange { call, reply, result, .. } in exchanges(capture) {
            if reply.status != Status::Error {
                continue;
            }
            let error: RemoteError<'_> = decoded(&result);
            let refused = procedure::error_reply(&call, &error).unwrap();
            let (packet, length) = Packet::split(&refused).unwrap().unwrap();
            assert_eq!((packet.header, packet.payload), (reply, result.as_slice()), "{capture}");
            assert_eq!(length, refused.len());
            // libvirt builds every error without a format string of its own like this.
            if error.str1.as_deref() == Some("%s") {
                assert_eq!(RemoteError::new(error.code, error.origin, error.sentence()), error);
                plain += 1;
            }
        }
    }
    assert_eq!(plain, 19);
}

#[test]
fn an_unknown_procedure_is_recognized_in_any_language() {
    let mut told = Vec::new();
    for capture in ["limits", "german"] {
        for (header, payload) in whole(&read(capture, "s2c.bin")) {
            if (header.kind, header.status) == (Kind::Reply, Status::Error) {
                let error: RemoteError<'_> = decoded(&payload);
                let unknown = error.is_unknown_procedure();
                told.push((header.procedure, error.sentence().to_owned(), unknown));
            }
        }
    }
    told.retain(|(procedure, ..)| [273, 344, 9999].contains(procedure));
    let told: Vec<_> =
        told.iter().map(|(number, text, unknown)| (*number, &**text, *unknown)).collect();
    let too_many = "internal error: Too many domains '16385' for limit '16384'";
    assert_eq!(
        told,
        [
            (273, "Unable to encode message payload", false),
            (344, "Unable to encode message payload", false),
            (273, too_many, false),
            (273, too_many, false),
            (
                344,
                "internal error: Number of domain stats records is 16385, \
                 which exceeds max limit: 16384",
                false
            ),
            (9999, "unbekannte Prozedur: 9999", true),
            (344, "Kann Inhalt der Nachricht nicht verschlüsseln", false),
        ]
    );
}

#[test]
fn an_error_without_a_message_has_a_default_one() {
    let error = RemoteError { message: None, ..RemoteError::new(code::RPC, 7, "") };
    assert_eq!(error.to_string(), "no reason given");
}
