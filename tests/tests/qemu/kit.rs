//! The kit itself: what other tests rely on.

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use domstats_live::{
    alone,
    compare::differences,
    floor::{FIRST, Floor, STEADY},
    guest::{Guest, Spec},
    lab::lab,
    oracle::{self, Params},
    patience::{PATIENCE, wait_until},
};

#[test]
fn the_boot_sector_reads_and_writes() {
    alone!();
    let guest = Spec::full("works").running().boot();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let params = oracle::read(&guest, false);
        let moved = |key: &str| params[key].as_u64().unwrap() > 10;
        if moved("block.0.rd.reqs") && moved("block.0.wr.reqs") {
            break;
        }
        assert!(Instant::now() < deadline, "{params:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_comparison_finds_what_is_wrong() {
    let params = |pairs: &[(&str, i64)]| -> Params {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
    };
    let before = params(&[("block.0.rd.reqs", 5), ("vcpu.current", 1), ("net.count", 1)]);
    let after = params(&[("block.0.rd.reqs", 9), ("vcpu.current", 1), ("net.count", 1)]);
    let right = params(&[("block.0.rd.reqs", 7), ("vcpu.current", 1), ("net.count", 1)]);
    assert_eq!(differences(&before, &right, &after), [""; 0]);
    let wrong = params(&[("block.0.rd.reqs", 4), ("vcpu.current", 1), ("vcpu.maximum", 1)]);
    let lines = differences(&before, &wrong, &after);
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn the_floor_sends_queries_that_a_guest_answers() {
    alone!();
    let guests: Vec<Guest> =
        (0..2).map(|_| Spec::new("floor").raw_disks(1).balloon().iothreads(1).boot()).collect();
    let mut floor = Floor::connect(guests.iter().map(|guest| guest.monitor.clone())).unwrap();
    assert_eq!(floor.pass(FIRST).unwrap(), 2);
    assert_eq!(floor.pass(STEADY).unwrap(), 2);
}

/// Not a test of its own: the program that the next test runs and kills.
#[test]
#[ignore = "run by nothing_outlives_the_test_program"]
fn boots_a_guest_and_waits() {
    let guest = Spec::new("orphan").boot();
    let path = env::var_os("KIT_TELLS").unwrap();
    let part = lab().path("told");
    fs::write(&part, format!("{} {}", guest.pid, guest.dir.display())).unwrap();
    fs::rename(part, path).unwrap();
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn nothing_outlives_the_test_program() {
    alone!();
    let told = lab().path("told-by-child");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--ignored", "kit::boots_a_guest_and_waits"])
        .env("KIT_TELLS", &told)
        // As if it were not in namespaces: only its janitor cleans up.
        .env_remove(alone::PLACE)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let wait_until = |what: &dyn Fn() -> bool| {
        wait_until(PATIENCE, "waited too long", what);
    };
    wait_until(&|| told.exists());
    let told = fs::read_to_string(&told).unwrap();
    let (pid, dir) = told.split_once(' ').unwrap();
    assert!(fs::exists(format!("/proc/{pid}")).unwrap() && fs::exists(dir).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(&|| !fs::exists(format!("/proc/{pid}")).unwrap() && !fs::exists(dir).unwrap());
}
