//! The long form of the soak test, half of the time with each policy.

use std::time::Duration;

use domstats_live::soak::soak;

use crate::arguments::number;

pub(crate) fn run() {
    let seconds = number("--minutes", 30) as u64 * 60;
    let seed = number("--seed", 1) as u64;
    for uri in ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"] {
        let soaked = soak(uri, Duration::from_secs(seconds / 2), seed);
        println!("{uri}: {soaked}");
    }
}
