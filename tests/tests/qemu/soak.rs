//! The short form of the soak; the long one is the benchmark `soak`.
#![allow(missing_docs, reason = "tests")]

use std::time::Duration;

use domstats_live::{alone, soak::soak};

const TIME: Duration = Duration::from_secs(30);
const SEED: u64 = 1;

#[test]
fn guests_come_and_go_while_monitors_are_shared() {
    alone!();
    let soaked = soak("qemu+qmp:///system", TIME, SEED);
    assert!(soaked.calls > 50 && soaked.acts > 10, "{soaked}");
}

#[test]
fn guests_come_and_go_while_monitors_are_held() {
    alone!();
    let soaked = soak("qemu+qmp:///system?monitor_policy=hold", TIME, SEED);
    assert!(soaked.calls > 50 && soaked.acts > 10, "{soaked}");
}
