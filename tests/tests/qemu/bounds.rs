//! What a hostile process or dead storage can make long or large costs nothing else.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use domstats::{Connect, MissingReason, StatsGroups, StatsReport, StatsRequest};
use domstats_live::{
    alone,
    command::domstats,
    compare::lacks,
    fake::Fake,
    guest::{Guest, Spec, boot_all},
    lab::lab,
    patience::{self, PATIENCE, Time, wait_until},
    process::{freeze, memory},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fake-qemu");
const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];
/// More than a guest needs, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_millis(250);

/// Starts this many processes of an untrusted user with one fault.
fn hostile(count: usize, fault: &str) -> Vec<Fake> {
    (0..count).map(|_| Fake::start_as_nobody(PROGRAM, fault)).collect()
}

/// Calls, and checks that the others are complete and the call in time. On a busy machine either
/// may really be late, but not repeatedly.
fn ask(connect: &Connect, others: &[Guest]) -> (StatsReport, Time) {
    let request = StatsRequest::new().timeout(TIMEOUT);
    let mut tries = 0;
    loop {
        let (report, took) = patience::time(|| connect.all_domain_stats(&request).unwrap());
        let lacking = others.iter().flat_map(|guest| match report.domain(guest.name()) {
            Some(record) => lacks(record),
            None => vec![format!("no record: {:?}", report.missing)],
        });
        let lacking: Vec<_> = took.exceeds(TIMEOUT + SLACK).into_iter().chain(lacking).collect();
        if lacking.is_empty() {
            return (report, took);
        }
        tries += 1;
        assert!(tries < 5, "{lacking:?}");
    }
}

/// Reads the command lines of all, which can take longer than a call on a busy machine.
fn find_all(connect: &Connect) {
    let patient = StatsRequest::new().timeout(PATIENCE);
    assert_eq!(connect.all_domain_stats(&patient).unwrap().missing, []);
}

#[test]
fn very_many_descriptors_cost_others_neither_time_nor_answers() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("modest")));
    let crowded = hostile(40, "crowded:19500");
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        find_all(&connect);
        for _ in 0..3 {
            let (report, _) = ask(&connect, &guests);
            let why = |fake: &&Fake| {
                let record = report.domain(&fake.name).unwrap();
                let missing = record.why_missing(StatsGroups::INTERFACE);
                missing.is_some_and(|it| {
                    assert_eq!(it.reason, MissingReason::Timeout, "{it}");
                    it.text.contains("very many descriptors")
                })
            };
            let refused = crowded.iter().filter(why).count();
            assert!(refused > 10, "{refused}");
        }
    }
}

/// Reading the host's side takes longer than the call: the replies arrived meanwhile.
#[test]
fn answers_that_came_in_time_are_not_called_late() {
    alone!();
    let guests = boot_all((0..2).map(|_| Spec::full("in-time")));
    let _crowded = hostile(40, "crowded:19500");
    let connect = Connect::open(POLICIES[1]).unwrap();
    find_all(&connect);
    let hasty = StatsRequest::new().timeout(Duration::from_millis(60));
    // On a busy machine a guest may really be late.
    wait_until(3 * PATIENCE, "the guests are complete", || {
        ask(&connect, &guests);
        let report = connect.all_domain_stats(&hasty).unwrap();
        let is_complete =
            |guest: &Guest| report.domain(guest.name()).is_some_and(|it| lacks(it).is_empty());
        guests.iter().all(is_complete)
    });
}

/// Makes this many calls with either policy, and returns by how many MiB this process grew
/// meanwhile at most, and how much of that remains.
fn growth(rounds: u32, uri: &str, ask: impl Fn(&Connect) + Sync) -> (u64, u64) {
    let connect = Connect::open(uri).unwrap();
    let own = std::process::id();
    let before = memory(own);
    let is_over = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(memory(own));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let rounds = scope.spawn(|| (0..rounds).for_each(|_| ask(&connect)));
        let rounds = rounds.join();
        // Even if it failed.
        is_over.store(true, Ordering::Relaxed);
        rounds.unwrap();
        watch.join().unwrap()
    });
    let of = |now: u64| now.saturating_sub(before) >> 10;
    let growth = (of(most), of(memory(own)));
    eprintln!("{uri}: {growth:?} MiB");
    growth
}

#[test]
fn a_reply_with_a_million_disks_takes_little_memory() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("modest")));
    let fault = r#"many:1200000:query-blockstats:{"stats":{}}"#;
    let hostile = hostile(3, fault);
    for uri in POLICIES {
        let (most, _) = growth(3, uri, |connect| {
            let (report, _) = ask(connect, &guests);
            for fake in &hostile {
                let missing = report.domain(&fake.name).unwrap().why_missing(StatsGroups::BLOCK);
                let missing = missing.unwrap();
                assert!(
                    missing.reason == MissingReason::Timeout
                        || missing.text.contains("more memory than there is"),
                    "{missing}"
                );
            }
        });
        assert!(most < 150, "{most} MiB");
    }
}

#[test]
fn halves_of_long_replies_take_little_memory_and_are_not_held() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("modest")));
    let _hostile = hostile(30, "half-line:15");
    for uri in POLICIES {
        let (most, left) = growth(3, uri, |connect| drop(ask(connect, &guests)));
        assert!(most < 150 && left < 75, "{most} MiB, then {left}");
    }
}

#[test]
fn groups_beyond_a_limit_are_missing_with_the_number() {
    alone!();
    for (fault, group, what) in [
        (r#"many:2049:query-blockstats:{"stats":{}}"#, StatsGroups::BLOCK, "2049 disks"),
        (
            r#"many:1025:query-iothreads:{"id":"a","thread-id":1}"#,
            StatsGroups::IOTHREAD,
            "1025 iothreads",
        ),
        (
            r#"many:4097:query-cpus-fast:{"cpu-index":1,"thread-id":1}"#,
            StatsGroups::VCPU,
            "4097 vCPUs",
        ),
        (
            r#"many:1025:qom-list:{"name":"n","type":"child<virtio-net-pci>"}"#,
            StatsGroups::INTERFACE,
            "more than 1024 NICs",
        ),
        (
            r#"many:16385:query-named-block-nodes:{"image":{}}"#,
            StatsGroups::BLOCK,
            "16385 block nodes",
        ),
    ] {
        let fake = Fake::start(PROGRAM, fault);
        let (report, _) = ask(&Connect::open(POLICIES[0]).unwrap(), &[]);
        let missing = report.domain(&fake.name).unwrap().why_missing(group);
        let missing = missing.unwrap_or_else(|| panic!("{fault}"));
        assert!(
            missing.reason == MissingReason::Failed && missing.text.contains(what),
            "{missing}"
        );
    }
}

/// A process that serves a file system. When it is dropped, waiting processes get an error.
struct Server(Child);

impl Server {
    /// Exports an image as a file, as network storage might.
    fn export(file: &Path, export: &Path) -> Self {
        let mut storage = lab().command("qemu-storage-daemon");
        storage.arg(format!("--blockdev=file,node-name=image,filename={}", file.display()));
        storage.arg(format!(
            "--export=fuse,id=export,node-name=image,mountpoint={},writable=on,allow-other=auto",
            export.display()
        ));
        let server = Self(storage.spawn().unwrap());
        let is_there = || {
            fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&*export.to_string_lossy())
        };
        wait_until(PATIENCE, "the image is there", is_there);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file system whose server never answers.
struct DeadStorage {
    folder: PathBuf,
    _server: Server,
}

impl DeadStorage {
    fn mount() -> Self {
        const SERVER: &str = "exec 3<>/dev/fuse
            mount -i -t fuse -o fd=3,rootmode=040000,user_id=0,group_id=0,allow_other dead $1
            echo ready; exec sleep 1000";
        let folder = lab().path(lab().name("dead"));
        fs::create_dir(&folder).unwrap();
        let mut server = lab().command("sh");
        server.args(["-ec", SERVER, "server"]).arg(&folder).stdout(Stdio::piped());
        let mut server = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { folder, _server: Server(server) }
    }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn monitors_on_dead_storage_cost_others_nothing() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("alive")));
    let storage = DeadStorage::mount();
    let path = |name: &str| storage.folder.join(name).display().to_string();
    let link = lab().path("link");
    std::os::unix::fs::symlink(path("linked"), &link).unwrap();
    let mut monitors: Vec<_> = (0..6).map(|number| path(&number.to_string())).collect();
    monitors.push(link.display().to_string());
    let dead: Vec<_> = monitors
        .iter()
        .map(|path| Fake::idle(PROGRAM, &["-qmp", &format!("unix:{path},server=on,wait=off")]))
        .collect();
    let config = Fake::idle(PROGRAM, &["-readconfig", &path("config")]);
    for uri in POLICIES {
        let connect = Connect::open(uri).unwrap();
        let before = threads();
        // On a busy machine its command line may come late.
        wait_until(PATIENCE, "what is known without the file", || {
            ask(&connect, &guests).0.domain(&config.name).is_some()
        });
        for round in 0..5 {
            let (report, took) = ask(&connect, &guests);
            for fake in dead.iter().chain([&config]) {
                let record = report.domain(&fake.name);
                let record = record.unwrap_or_else(|| panic!("{:?}", report.missing));
                let missing = record.why_missing(StatsGroups::BLOCK).unwrap();
                assert!(missing.text.contains("does not answer"), "{missing}");
                assert!(record.cpu.as_ref().unwrap().time.is_some());
            }
            // A call waits for it only once.
            if round > 1 {
                took.assert_within(TIMEOUT / 2);
            }
        }
        let left = threads().saturating_sub(before);
        // A path is looked up here, and in the root of its process.
        assert!(left <= 2 * (dead.len() + 1) + 4, "{left} threads");
    }
    drop(storage);
    wait_until(PATIENCE, "no thread is left", || threads() < 10);
}

#[test]
fn a_pattern_that_leads_to_dead_storage_costs_others_nothing() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("alive")));
    let storage = DeadStorage::mount();
    let pattern = storage.folder.join("*.qmp").display().to_string();
    let own = guests[0].monitor.display();
    for policy in ["shared", "hold"] {
        let uri =
            format!("qemu+qmp:///system?monitor={pattern}&monitor={own}&monitor_policy={policy}");
        let connect = Connect::open(&uri).unwrap();
        for _ in 0..3 {
            let (report, _) = ask(&connect, &guests);
            let missing = report.missing.iter().find(|it| it.domain.name == pattern);
            let missing = &missing.unwrap_or_else(|| panic!("{:?}", report.missing)).missing;
            assert_eq!(missing.reason, MissingReason::Timeout, "{missing}");
        }
    }
}

/// An image on storage that dies while its guest runs: QEMU is stuck then, and only that one.
#[test]
fn an_image_on_storage_that_dies_costs_others_nothing() {
    alone!();
    let guests = boot_all((0..3).map(|_| Spec::full("alive")));
    for uri in POLICIES {
        let [file, export] = ["image", "export"].map(|name| lab().path(lab().name(name)));
        fs::File::create(&file).unwrap().set_len(1 << 20).unwrap();
        fs::File::create(&export).unwrap();
        let storage = Server::export(&file, &export);
        let drive = format!("file={},format=raw,if=none,id=remote", export.display());
        let options = ["-drive", &drive, "-device", "virtio-blk-pci,drive=remote,id=remote-disk"];
        let on_storage = Spec::full("on-storage").options(options).boot();
        // Dropped before its guest, which could not end otherwise.
        let storage = storage;
        let connect = Connect::open(uri).unwrap();
        for _ in 0..2 {
            ask(&connect, &guests);
            ask(&connect, std::slice::from_ref(&on_storage));
        }
        freeze(storage.0.id());
        for _ in 0..4 {
            let (report, _) = ask(&connect, &guests);
            let record = report.domain(on_storage.name()).unwrap();
            assert!(record.cpu.as_ref().unwrap().time.is_some());
        }
    }
}

#[test]
fn a_proc_that_hides_others_is_reported() {
    alone!();
    let other = Spec::new("other").boot();
    lab().run(lab().command("mount").args(["-o", "remount,hidepid=2", "/proc"]));
    let nobody = |words: &[&str]| {
        let output = lab().command_as_nobody(domstats()).args(words).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let doctor = nobody(&["doctor", "-c", POLICIES[0]]);
    assert!(doctor.contains("hides the processes of other users"), "{doctor}");
    let root = lab().run(lab().command_at(domstats()).args(["doctor", "-c", POLICIES[0]]));
    assert!(root.contains(other.name()) && !root.contains("hides"), "{root}");
}
