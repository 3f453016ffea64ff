#![allow(clippy::unwrap_used, missing_docs)]
use domstats::{Connect, StatsGroups, StatsRequest};
use domstats_live::{
    guest::{Spec, boot_all},
    lab::alone,
};
use rustix::time::{ClockId, clock_gettime};
use std::{env, thread, time::Duration};
fn main() {
    let _alone = alone();
    let n: usize = env::args().nth(1).unwrap().parse().unwrap();
    let passes: u32 = env::args().nth(2).unwrap().parse().unwrap();
    let guests =
        boot_all((0..n).map(|_| Spec::new("cost").vcpus(4, 4).iothreads(2).taps(1).balloon()));
    println!(
        "threads {}",
        std::fs::read_dir(format!("/proc/{}/task", guests[0].pid)).unwrap().count()
    );
    println!("fds {}", std::fs::read_dir(format!("/proc/{}/fd", guests[0].pid)).unwrap().count());
    println!("procs {}", std::fs::read_dir("/proc").unwrap().count());
    let connect = Connect::open("qemu+qmp:///system?monitor_policy=hold").unwrap();
    let ask = |g| {
        connect
            .all_domain_stats(&StatsRequest::new().groups(g).timeout(Duration::from_secs(30)))
            .unwrap()
    };
    ask(StatsGroups::empty());
    thread::sleep(Duration::from_secs(6));
    ask(StatsGroups::empty());
    ask(StatsGroups::empty());
    let host = StatsGroups::CPU_TOTAL | StatsGroups::VCPU | StatsGroups::INTERFACE;
    let list: Vec<(&str, StatsGroups)> = vec![
        ("cpu", StatsGroups::CPU_TOTAL),
        ("vcpu", StatsGroups::VCPU),
        ("interface", StatsGroups::INTERFACE),
        ("host", host),
        ("balloon", StatsGroups::BALLOON),
        ("all", StatsGroups::empty()),
    ];
    for (name, g) in list {
        if let Some(only) = env::args().nth(3)
            && only != name
        {
            continue;
        }
        let mut best = f64::MAX;
        for _ in 0..passes / 10 {
            let start = clock_gettime(ClockId::ProcessCPUTime);
            for _ in 0..10 {
                ask(g);
            }
            let d = clock_gettime(ClockId::ProcessCPUTime) - start;
            best = best.min((d.tv_sec as f64 * 1e6 + d.tv_nsec as f64 / 1e3) / 10.0 / n as f64);
        }
        println!("{name}: {best:.2} us a VM");
    }
}
