//! Unprivileged users: their own guests, and a hint about the others.

use std::process::Output;

use domstats::{MissingReason, StatsGroups, StatsReport};
use domstats_live::{
    alone,
    command::domstats,
    compare::lacks,
    guest::{Guest, Spec},
    lab::lab,
};

fn domstats_as_nobody(uri: &str) -> (StatsReport, Output) {
    let mut command = lab().command_as_nobody(domstats());
    let output = command.args(["-c", uri, "--format", "json"]).output().unwrap();
    let json = String::from_utf8(output.stdout.clone()).unwrap();
    let report = StatsReport::from_json(&json);
    let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, output)
}

fn assert_own_is_complete(report: &StatsReport, own: &Guest) {
    let record = report.domain(own.name()).expect("the user's own guest");
    assert_eq!(lacks(record), [""; 0]);
    assert!(record.block.is_some());
}

#[test]
fn other_users_guests_are_denied_with_a_hint() {
    alone!();
    let own = Spec::new("own").as_nobody().raw_disks(1).boot();
    let other = Spec::new("other").raw_disks(1).boot();
    let (report, output) = domstats_as_nobody("qemu+qmp:///system");
    assert_own_is_complete(&report, &own);
    let record = report.domain(other.name());
    let missing = match record {
        Some(record) => record.why_missing(StatsGroups::BLOCK).unwrap(),
        None => {
            let missing = report.missing.iter().find(|one| one.domain.id == Some(other.pid));
            &missing.unwrap().missing
        }
    };
    assert_eq!(missing.reason, MissingReason::Denied);
    assert!(missing.text.contains("root"), "{missing}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("denied"), "{stderr}");
    assert!(output.status.success());
}

#[test]
fn session_lists_the_users_own_guests() {
    alone!();
    let own = Spec::new("own").as_nobody().raw_disks(1).boot();
    let other = Spec::new("other").raw_disks(1).boot();
    let (report, _) = domstats_as_nobody("qemu+qmp:///session");
    assert_own_is_complete(&report, &own);
    assert!(report.domain(other.name()).is_none());
    assert!(report.missing.iter().all(|one| one.domain.id != Some(other.pid)));
}
