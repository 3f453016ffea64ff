//! Identity: who owns a domain's process, and which domain a name, a UUID or a handle means.

use std::{fs, os::unix::net::UnixStream};

use domstats::{
    Conflict, Connect, Domain, DomainFilter, ErrorKind, MissingReason, Name, StatsGroups,
    StatsReport, StatsRequest, is_deceptive,
};
use domstats_live::{
    alone,
    command::domstats,
    guest::{Guest, Spec},
    impostor::Impostor,
    lab::lab,
    patience::{PATIENCE, wait_until},
};

const SYSTEM: &str = "qemu+qmp:///system";
const UUID: &str = "5e0c1a9d-1111-4222-8333-444455556666";
const IDENTITY: [&str; 4] = ["-name", "guest=vm", "-uuid", UUID];
const NOBODY: u32 = 65534;

fn named(label: &str) -> Spec {
    Spec::new(label).options(IDENTITY)
}

fn request() -> StatsRequest {
    StatsRequest::new().groups(StatsGroups::BLOCK).timeout(PATIENCE)
}

/// The number of disks in each record.
fn disks(report: &StatsReport) -> Vec<usize> {
    let count =
        |stats: &domstats::DomainStats| stats.block.as_ref().map_or(0, |it| it.blocks.len());
    report.domains.iter().map(count).collect()
}

#[test]
fn the_kernel_knows_the_owner_of_a_domain() {
    alone!();
    let roots = Spec::new("root").boot();
    let nobodys = Spec::new("nobody").as_nobody().boot();
    let dropped = Spec::new("dropped").options(["-runas", "nobody"]).boot();
    // Runs as root, and was started by another user.
    let impostor = Impostor::start(&["-name", "impostor"]);
    let connect = Connect::open(SYSTEM).unwrap();
    let of = |pid: u32| {
        let info = connect.domain_by_id(pid).unwrap().info().clone();
        (info.uid, info.untrusted, info.conflict)
    };
    let none = Conflict::empty();
    for _ in 0..2 {
        assert_eq!(of(roots.pid), (Some(0), false, none));
        assert_eq!(of(nobodys.pid), (Some(NOBODY), true, none));
        assert_eq!(of(dropped.pid), (Some(NOBODY), true, none));
        assert_eq!(of(impostor.pid()), (Some(NOBODY), true, none));
    }
    // Domains of trusted users are found by name.
    assert_eq!(connect.domain_by_name(roots.name()).unwrap().id(), Some(roots.pid));
    let error = connect.domain_by_name(nobodys.name()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDomain);
    assert!(error.to_string().contains("user 65534): ask for it by its id, or trust"), "{error}");
    for trusted in ["nobody", "65534", "daemon,nobody"] {
        let connect = Connect::open(&format!("{SYSTEM}?trusted={trusted}")).unwrap();
        let domain = connect.domain_by_name(nobodys.name()).unwrap();
        assert_eq!((domain.id(), domain.info().untrusted), (Some(nobodys.pid), false));
    }
    let error = Connect::open(&format!("{SYSTEM}?trusted=no-such-user")).unwrap_err();
    assert!(error.to_string().contains("no user 'no-such-user' (trusted)"), "{error}");
}

#[test]
fn names_that_trusted_users_share_are_ambiguous() {
    alone!();
    let guests = [named("one").raw_disks(1), named("two").raw_disks(2)].map(Spec::boot);
    let connect = Connect::open(SYSTEM).unwrap();
    for error in [
        connect.domain_by_name("vm").unwrap_err(),
        connect.domain_by_uuid(UUID.parse().unwrap()).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Ambiguous, 55));
        assert!(error.to_string().starts_with("several domains have the "), "{error}");
        for guest in &guests {
            assert!(
                error.to_string().contains(&format!("'vm' (id {}, user 0)", guest.pid)),
                "{error}"
            );
        }
    }
    let report = connect.all_domain_stats(&request()).unwrap();
    assert!(report.domains.iter().all(|stats| stats.domain.conflict == Conflict::all()));
    assert!(report.domain("vm").is_none());
    // Each by its id, and by its handle.
    let by_id = |guest: &Guest| connect.domain_by_id(guest.pid).unwrap();
    let [one, two] = guests.each_ref().map(by_id);
    let report = Domain::list_stats(&[two.clone(), one.clone(), two.clone()], &request()).unwrap();
    assert_eq!(disks(&report), [2, 1, 2]);
    assert_eq!(one.again().unwrap().id(), Some(guests[0].pid));
    // A handle whose domain has ended: the other one could be its next life, and is the only
    // candidate.
    let third = named("three").raw_disks(3).boot();
    guests[0].kill();
    let error = one.stats(&request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    assert_eq!(one.again().unwrap_err().kind(), ErrorKind::Ambiguous);
    let report = Domain::list_stats(&[one.clone(), two], &request()).unwrap();
    assert_eq!(disks(&report), [2]);
    assert_eq!(report.missing[0].missing.reason, MissingReason::Ambiguous);
    guests[1].kill();
    assert_eq!(one.stats(&request()).unwrap().domain.id, Some(third.pid));
}

#[test]
fn a_handle_never_moves_to_an_untrusted_domain() {
    alone!();
    let stranger = named("stranger").as_nobody().boot();
    let victim = named("victim").raw_disks(1).boot();
    let impostor = Impostor::start(&IDENTITY);
    let connect = Connect::open(SYSTEM).unwrap();
    let handle = connect.domain_by_name("vm").unwrap();
    assert_eq!(handle.id(), Some(victim.pid));
    assert_eq!(disks(&Domain::list_stats(std::slice::from_ref(&handle), &request()).unwrap()), [1]);
    victim.kill();
    let error = handle.stats(&request()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDomain, "{error}");
    assert_eq!(handle.again().unwrap_err().kind(), ErrorKind::NoDomain);
    let again = named("again").raw_disks(1).boot();
    assert_eq!(handle.stats(&request()).unwrap().domain.id, Some(again.pid));
    assert_eq!(handle.again().unwrap().id(), Some(again.pid));
    // Nor does an untrusted domain's handle move to the victim.
    for pid in [stranger.pid, impostor.pid()] {
        let handle = connect.domain_by_id(pid).unwrap();
        assert_eq!(handle.stats(&request()).unwrap().domain.id, Some(pid));
    }
    let theirs = connect.domain_by_id(impostor.pid()).unwrap();
    drop(impostor);
    stranger.kill();
    assert_eq!(theirs.stats(&request()).unwrap_err().kind(), ErrorKind::NoDomain);
    assert_eq!(connect.domains(DomainFilter::empty()).unwrap().len(), 1);
}

#[test]
fn the_command_lists_conflicts() {
    alone!();
    let victim = named("victim").raw_disks(1).boot();
    let run = |arguments: &[&str]| {
        let mut command = lab().command_at(domstats());
        let output = command.args(["-c", SYSTEM]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(!run(&["list"]).contains("NOTE"));
    let stranger = named("stranger").as_nobody().boot();
    let list = run(&["list"]);
    let line = |pid: u32| list.lines().find(|line| line.starts_with(&pid.to_string())).unwrap();
    assert!(line(victim.pid).ends_with("conflict: name uuid"), "{list}");
    let note = "conflict: name uuid; user 65534 is not trusted";
    assert!(line(stranger.pid).ends_with(note), "{list}");
    let doctor = run(&["doctor"]);
    for said in [
        format!("  'vm' (id {}, user 0): another domain has its name uuid too\n", victim.pid),
        format!(
            "  'vm' (id {}, user 65534): its user is not trusted, and another domain has its name uuid \
             too\n",
            stranger.pid
        ),
        "hint: not trusted: such a domain is found by its id alone".to_owned(),
    ] {
        assert!(doctor.contains(&said), "{said} in {doctor}");
    }
    for word in ["vm", UUID, &victim.pid.to_string()] {
        assert!(run(&["--block", word]).contains("block.count=1"), "{word}");
    }
    let word = stranger.pid.to_string();
    assert!(run(&["--block", &word]).contains("block.count=0"));
    victim.kill();
    assert!(run(&["vm"]).contains("user 65534): ask for it by its id"), "{}", run(&["vm"]));
}

#[test]
fn names_forge_nothing() {
    alone!();
    const EVIL: &str = "x\n\nDomain: 'victim'\n  state.state=5\u{1b}[2J\u{202e}\u{2028}\u{200b}y";
    let dir = lab().path(lab().name("evil"));
    fs::create_dir_all(&dir).unwrap();
    // A path component contains no slash, and an option no comma.
    let disk = dir.join(EVIL);
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let drive = format!("file={},format=raw,if=virtio", disk.display());
    let name = format!("guest={EVIL}");
    let guest = Spec::new("evil").options(["-name", &name, "-drive", &drive]).boot();
    // Without a name it has that of its monitor.
    let monitor = format!("unix:{},server=on,wait=off", dir.join(format!("m{EVIL}")).display());
    let _impostor = Impostor::start(&["-qmp", &monitor]);
    let _named = Impostor::start(&["-name", &name]);
    let run = |arguments: &[&str]| {
        let mut command = lab().command_at(domstats());
        let output = command.args(["-c", SYSTEM]).args(arguments).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    for arguments in [
        &["--format", "text"][..],
        &["--format", "table"],
        &["--format", "xml"],
        &["--format", "json"],
        &["--format", "openmetrics"],
        &["--format", "prometheus"],
        &["list"],
        &["list", "--name"],
        &["doctor"],
        &["x"],
    ] {
        for text in run(arguments) {
            let deceives = |character| character != '\n' && is_deceptive(character);
            assert!(!text.contains(deceives), "{arguments:?}: {text:?}");
            for line in text.lines() {
                let is_forged = line.starts_with("Domain: 'victim'") || line == "  state.state=5";
                assert!(!is_forged, "{arguments:?}: {text}");
            }
        }
    }
    // Domains are found by their shown names; a path stays unchanged.
    let report = Connect::open(SYSTEM).unwrap().all_domain_stats(&request()).unwrap();
    let of = |pid| report.domains.iter().find(|stats| stats.domain.id == Some(pid)).unwrap();
    let record = of(guest.pid);
    assert_eq!(record.domain.name, Name::from(EVIL));
    let blocks = &record.block.as_ref().unwrap().blocks;
    assert_eq!(blocks[0].path.as_deref(), disk.to_str());
}

#[test]
fn a_change_from_root_to_another_user_is_seen() {
    alone!();
    let socket = lab().path(lab().name("waits"));
    let monitor = format!("unix:{},server=on", socket.display());
    // It drops root's privileges when its monitor has a client, and not before.
    let mut command = lab().command("qemu-system-x86_64");
    command.args(["-name", "drops", "-display", "none", "-runas", "nobody", "-qmp", &monitor]);
    let mut qemu = command.spawn().unwrap();
    wait_until(PATIENCE, "its socket", || socket.exists());
    let connect = Connect::open(SYSTEM).unwrap();
    let whose = || {
        let domains = connect.domains(DomainFilter::empty()).unwrap();
        domains.first().map(|domain| (domain.info().uid, domain.info().untrusted))
    };
    wait_until(PATIENCE, "root's", || whose() == Some((Some(0), false)));
    let _client = UnixStream::connect(&socket).unwrap();
    wait_until(PATIENCE, "it is another user's", || whose() == Some((Some(NOBODY), true)));
    qemu.kill().unwrap();
    qemu.wait().unwrap();
}
