//! Which processes are VMs: helper processes that a QEMU starts are not.

use std::fs;

use domstats::{Connect, DomainFilter, StatsRequest};
use domstats_live::{
    alone,
    guest::Spec,
    patience::{PATIENCE, wait_until},
    roots::release,
};

/// With asynchronous teardown, a copy of QEMU waits to clean up after it: the same program, memory
/// and command line.
#[test]
fn a_qemus_cleanup_process_is_not_a_vm() {
    alone!();
    let options: &[&str] = match release() {
        None => &["-async-teardown"],
        Some(_) => &["-run-with", "async-teardown=on"],
    };
    let guest = Spec::new("teardown").options(options.iter().copied()).boot();
    let children = format!("/proc/{0}/task/{0}/children", guest.pid);
    let is_named = |pid: &str| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.starts_with("cleanup/"))
    };
    wait_until(PATIENCE, "the copy", || {
        fs::read_to_string(&children).unwrap().split_whitespace().any(is_named)
    });
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        let connect = Connect::open(uri).unwrap();
        let listed = connect.domains(DomainFilter::empty()).unwrap();
        let listed: Vec<_> = listed.iter().map(|domain| domain.info().id).collect();
        assert_eq!(listed, [Some(guest.pid)], "{uri}");
        let request = StatsRequest::new().timeout(PATIENCE);
        let report = connect.all_domain_stats(&request).unwrap();
        let told: Vec<_> = report.domains.iter().map(|record| record.domain.id).collect();
        assert_eq!(told, [Some(guest.pid)], "{uri}");
        assert_eq!(report.missing, [], "{uri}");
    }
}
