//! Recorded traffic between libvirt and its clients: see `tests/captures/README.md`.

use std::{borrow::Cow, collections::HashSet};

use domstats_rpc::{
    Kind, Program, Status,
    message::*,
    packet::keepalive,
    procedure,
    xdr::{Chars, Fault, List},
};

use crate::{
    again::{PROCEDURES, encoded, packets},
    recorded::{Exchange, decoded, exchanges_of, known, read, streams, whole},
};

/// One of the three made-up domains of the session daemon.
fn domain(name: &str, last: u8, id: i32) -> Domain<'_> {
    let mut uuid = *b"\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x00";
    uuid[15] = last;
    Domain { name: name.into(), uuid, id }
}

#[test]
fn every_stream_consists_of_packets_only() {
    for (capture, side, stream) in streams() {
        let again: Vec<u8> = whole(&stream)
            .iter()
            .flat_map(|(header, payload)| {
                let length = 28 + payload.len() as u32;
                [length.to_be_bytes().to_vec(), encoded(header).unwrap(), payload.clone()].concat()
            })
            .collect();
        assert_eq!(again, stream, "{capture} {side}");
    }
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    for (capture, side, stream) in streams() {
        let whole = packets([stream.as_slice()]);
        assert!(packets(stream.chunks(1)) == whole, "{capture} {side}");
        for cut in 0..stream.len() {
            let (before, after) = stream.split_at(cut);
            assert!(packets([before, after]) == whole, "{capture} {side} at {cut}");
        }
    }
}

#[test]
fn every_message_encodes_to_its_original_bytes() {
    let mut seen = HashSet::new();
    let mut odd = Vec::new();
    for (capture, _, stream) in streams() {
        for (header, payload) in whole(&stream) {
            let Some(again) = known(&header) else { continue };
            match again(&payload) {
                Ok(bytes) if bytes == payload => {
                    seen.insert((header.kind, header.status, header.procedure));
                }
                other => odd.push((capture.clone(), header.procedure, other.err())),
            }
        }
    }
    assert_eq!(
        odd,
        [
            // Malformed on purpose: libvirt could not decode these either.
            ("auth".to_owned(), 68, Some(Fault::Short { needed: 16, left: 4 })),
            ("errors".to_owned(), 16, Some(Fault::Short { needed: 4, left: 2 })),
            // Sends 0x01000000 as the flag for "a name is present".
            ("go-libvirt".to_owned(), 1, None),
        ]
    );
    let unseen = |kind| {
        let numbers = PROCEDURES.iter().map(|(number, ..)| *number);
        numbers.filter(|number| !seen.contains(&(kind, Status::Ok, *number))).collect::<Vec<_>>()
    };
    // No recorded client calls these; the last one is newer than the recordings.
    let uncalled = [105, 106, 110, 167, 168, 281, 449];
    assert_eq!(unseen(Kind::Call), uncalled);
    // libvirt refused these: polkit, CPU times without cgroups, a domain without a title.
    let refused = [70, 262, 265];
    let mut unseen_replies = [refused.as_slice(), &uncalled].concat();
    unseen_replies.sort();
    assert_eq!(unseen(Kind::Reply), unseen_replies);
}

/// Formats records as `virsh domstats` prints them.
fn printed(records: &StatsRecords<'_>) -> String {
    let mut text = String::new();
    for record in &records.0 {
        text += &format!("Domain: '{}'\n", record.domain.name);
        for TypedParam { field, value } in &record.params.0 {
            let value = match value {
                ParamValue::Int(value) => value.to_string(),
                ParamValue::UInt(value) => value.to_string(),
                ParamValue::LLong(value) => value.to_string(),
                ParamValue::ULLong(value) => value.to_string(),
                ParamValue::Double(value) => format!("{value:.6}"),
                ParamValue::Boolean(value) => if *value { "yes" } else { "no" }.to_owned(),
                ParamValue::String(value) => value.to_string(),
            };
            text += &format!("  {field}={value}\n");
        }
        text += "\n";
    }
    text
}

#[test]
fn statistics_are_what_virsh_printed() {
    for (capture, stats, flags, domains) in [
        ("virsh-domstats-all", 0, 0, vec![]),
        ("virsh-domstats-named", 0, 0, vec![domain("run1", 1, 1), domain("off1", 3, -1)]),
        // State, CPU and balloon; active, running, nowait, backing, enforce.
        ("virsh-domstats-flags", 7, 0xe000_0011, vec![]),
    ] {
        let [exchange] = &exchanges_of::<procedure::ConnectGetAllDomainStats>(capture)[..] else {
            panic!("{capture}: one call");
        };
        let domains = List(domains);
        assert_eq!(
            decoded::<DomainStatsArgs>(&exchange.args),
            DomainStatsArgs { domains, stats, flags }
        );
        let stdout = read(capture, "stdout.txt");
        assert_eq!(printed(&decoded(&exchange.result)).as_bytes(), stdout);
    }
    // A guest with two disks, a tap and an I/O thread.
    let capture = "system-virsh-ro-domstats-vm1";
    let exchange = &exchanges_of::<procedure::ConnectGetAllDomainStats>(capture)[0];
    assert_eq!(printed(&decoded(&exchange.result)).as_bytes(), read(capture, "stdout.txt"));
}

#[test]
fn values_have_the_types_that_libvirt_gave_them() {
    let exchange = &exchanges_of::<procedure::ConnectGetAllDomainStats>("virsh-domstats-all")[0];
    let records: StatsRecords<'_> = decoded(&exchange.result);
    let run1 = &records.0[1];
    assert_eq!((&run1.domain, run1.params.0.len()), (&domain("run1", 1, 1), 38));
    let value = |name: &str| &run1.params.0.iter().find(|param| param.field == name).unwrap().value;
    assert_eq!(*value("state.reason"), ParamValue::Int(1));
    assert_eq!(*value("cpu.time"), ParamValue::ULLong(670_000_000));
    assert_eq!(*value("vcpu.maximum"), ParamValue::UInt(1));
    assert_eq!(*value("dirtyrate.calc_start_time"), ParamValue::LLong(0));
    assert_eq!(*value("block.0.path"), ParamValue::String("/srv/vms/img0/d1.img".into()));
}

#[test]
fn domains_are_what_virsh_listed() {
    let exchange = &exchanges_of::<procedure::ConnectListAllDomains>("virsh-list-all")[0];
    assert_eq!(
        decoded::<ListDomainsArgs>(&exchange.args),
        ListDomainsArgs { need_results: true, flags: 3 }
    );
    let listed: ListedDomains<'_> = decoded(&exchange.result);
    assert_eq!(listed.count, 3);
    let mut text = " Id   Name     State\n-------------------------\n".to_owned();
    let mut states = exchanges_of::<procedure::DomainGetState>("virsh-list-all");
    for Exchange { args, result, .. } in &mut states {
        let StateArgs { domain, flags } = decoded(args);
        assert!(listed.domains.0.contains(&domain) && flags == 0);
        let id = if domain.id < 0 { "-".to_owned() } else { domain.id.to_string() };
        let state = match decoded::<StateReply>(result).state {
            1 => "running",
            3 => "paused",
            5 => "shut off",
            _ => "?",
        };
        text += &format!(" {id:<4} {:<8} {state}\n", domain.name);
    }
    assert_eq!(text + "\n", String::from_utf8(read("virsh-list-all", "stdout.txt")).unwrap());
}

#[test]
fn domains_are_looked_up_by_name_uuid_and_id() {
    let exchange = &exchanges_of::<procedure::DomainLookupByName>("virsh-domstats-named")[1];
    assert_eq!(decoded::<Cow<'_, str>>(&exchange.args), "off1");
    assert_eq!(decoded::<Domain>(&exchange.result), domain("off1", 3, -1));

    let exchange = &exchanges_of::<procedure::DomainLookupByUuid>("virt-top-stream")[2];
    assert_eq!(decoded::<[u8; 16]>(&exchange.args), domain("", 2, 0).uuid);
    assert_eq!(decoded::<Domain>(&exchange.result), domain("pause1", 2, 2));

    let capture = "debian-prometheus-libvirt-exporter";
    let exchange = &exchanges_of::<procedure::DomainLookupById>(capture)[1];
    assert_eq!(decoded::<i32>(&exchange.args), 2);
    assert_eq!(decoded::<Domain>(&exchange.result), domain("pause1", 2, 2));
}

#[test]
fn each_client_opens_a_hypervisor_in_its_own_way() {
    for (capture, serial, flags) in [
        ("virsh-list-all", 2, 0),
        ("python-stats-and-list", 1, OPEN_READ_ONLY),
        // With its own flag for "a name is present".
        ("go-libvirt", 2, 0),
    ] {
        let exchange = &exchanges_of::<procedure::ConnectOpen>(capture)[0];
        let name = Some("qemu:///session".into());
        assert_eq!(exchange.call.serial, serial);
        assert_eq!(decoded::<OpenArgs>(&exchange.args), OpenArgs { name, flags });
        decoded::<()>(&exchange.result);
    }
    let exchange = &exchanges_of::<procedure::ConnectGetLibVersion>("go-libvirt")[0];
    assert_eq!(decoded::<u64>(&exchange.result), 9_000_000);
    let exchange = &exchanges_of::<procedure::ConnectGetHostname>("go-libvirt")[0];
    assert_eq!(decoded::<Cow<'_, str>>(&exchange.result), "vm");
}

#[test]
fn sasl_completes_in_the_recorded_steps() {
    let capture = "sasl-scram-sha-256";
    let exchange = &exchanges_of::<procedure::AuthList>(capture)[0];
    assert_eq!(decoded::<AuthTypes>(&exchange.result), List(vec![AUTH_SASL]));
    let exchange = &exchanges_of::<procedure::AuthSaslInit>(capture)[0];
    assert_eq!(decoded::<Cow<'_, str>>(&exchange.result), "SCRAM-SHA-256");

    let exchange = &exchanges_of::<procedure::AuthSaslStart>(capture)[0];
    let start: SaslStartArgs<'_> = decoded(&exchange.args);
    assert_eq!((&*start.mechanism, start.nil), ("SCRAM-SHA-256", false));
    assert_eq!(start.data.0, b"n,,n=alice,r=JhogMfNa3Dqez6aD1Qd2YCBScW/SIXSJ");
    let first: SaslReply = decoded(&exchange.result);
    assert_eq!((first.complete, first.nil, first.data.0.len()), (false, false, 120));
    assert!(first.data.0.ends_with(b",i=4096"));

    let exchange = &exchanges_of::<procedure::AuthSaslStep>(capture)[0];
    let step: SaslStepArgs = decoded(&exchange.args);
    assert!(!step.nil && step.data.0.starts_with(b"c=biws,r="));
    assert_eq!(
        decoded::<SaslReply>(&exchange.result),
        SaslReply {
            complete: true,
            nil: false,
            data: Chars(b"v=0WMVYcLrSTjVcJ7F5b6IUsAa+N+WGAJRppJgxXMRM7I=".into()),
        }
    );

    let exchange = &exchanges_of::<procedure::AuthSaslStep>("sasl-scram-bad-password")[0];
    let error: RemoteError<'_> = decoded(&exchange.result);
    assert_eq!((exchange.reply.status, error.code, error.origin), (Status::Error, 45, 7));
}

#[test]
fn keepalive_packets_match_libvirts() {
    let packet = |procedure| keepalive::header(procedure).packet(&()).unwrap();
    let (ping, pong) = (packet(keepalive::PING), packet(keepalive::PONG));
    for (capture, asks, answers, times) in [
        ("keepalive-client-ping", "c2s.bin", "s2c.bin", 8),
        ("keepalive-server-ping", "s2c.bin", "c2s.bin", 3),
        ("virsh-event-lifecycle", "s2c.bin", "c2s.bin", 1),
    ] {
        for (file, sign) in [(asks, &ping), (answers, &pong)] {
            let packets = whole(&read(capture, file));
            let signs = packets.iter().filter(|(header, _)| header.program == Program::Keepalive);
            let signs: Vec<_> = signs.map(|(header, _)| header.packet(&()).unwrap()).collect();
            assert_eq!(signs, vec![sign.clone(); times], "{capture} {file}");
        }
    }
}

#[test]
fn an_event_is_a_message_with_any_serial() {
    let packets = whole(&read("virsh-event-lifecycle", "s2c.bin"));
    let events = packets.iter().filter(|(header, _)| header.procedure == 318);
    let events: Vec<_> = events.map(|(header, _)| (header.kind, header.serial)).collect();
    assert_eq!(events, [(Kind::Message, 1); 2]);
}
