//! How the call grows with the number of guests.
use crate::{arguments::number, measured::Measured, recorded::Recorded};
use domstats_live::lab::alone;
pub(crate) fn scale() {
    let _alone = alone();
    let n = number("--guests", 100);
    let recorded = Recorded::start(n);
    for (what, of) in [
        ("call", recorded.uri("")),
        ("call", recorded.uri("&monitor_policy=hold")),
        ("floor", recorded.pattern()),
    ] {
        let mut m = Measured::start(what, &of);
        println!("{what} {of} {:?}", m.start);
        for _ in 0..5 {
            println!("{:?}", m.again());
        }
    }
}
