//! A process of our own that makes calls and measures itself, so that nothing else of this program
//! is measured.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, StatsReport, StatsRequest};
use domstats_live::{
    floor::{FIRST, Floor, STEADY},
    lab::lab,
};
use rustix::time::{ClockId, clock_gettime};

use crate::limits::raise_descriptors;

/// The pause after which no cached reply is left that can change without a sign.
pub(crate) const LATER: Duration = Duration::from_millis(1100);

/// The cost of one call for the process that made it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// On all CPUs, in user mode and in the kernel.
    pub(crate) cpu: Duration,
    /// Resident memory after the call.
    pub(crate) rss_kib: u64,
    /// Open descriptors after the call.
    pub(crate) descriptors: u64,
    /// Guests that answered.
    pub(crate) guests: usize,
}

/// The process.
#[derive(Debug)]
pub(crate) struct Measured {
    process: Child,
    orders: ChildStdin,
    samples: BufReader<ChildStdout>,
    /// Before the first call.
    pub(crate) start: Sample,
}

impl Measured {
    /// Starts a process that calls through a URI (`call`; `later`, after a pause), or that sends to
    /// all monitors of a pattern all queries (`floor`) or those of a steady call (`steady floor`).
    pub(crate) fn start(what: &str, of: &str) -> Self {
        let mut process = lab()
            .command_at(&env::current_exe().unwrap())
            .args(["measured", what, of])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let mut samples = BufReader::new(process.stdout.take().unwrap());
        let start = sample(&mut samples);
        Self { process, orders, samples, start }
    }

    /// Makes a call that is not counted, and one that is.
    pub(crate) fn again(&mut self) -> Sample {
        writeln!(self.orders).unwrap();
        sample(&mut self.samples)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sample(from: &mut impl BufRead) -> Sample {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [wall, cpu, rss_kib, descriptors, guests] = numbers[..] else {
        panic!("the measured process failed")
    };
    Sample {
        wall: Duration::from_nanos(wall),
        cpu: Duration::from_nanos(cpu),
        rss_kib,
        descriptors,
        guests: usize::try_from(guests).unwrap(),
    }
}

/// The main function of the process: for each input line makes a call that is not counted and one
/// that is, over new connections, and prints a line of numbers.
pub(crate) fn measured() {
    raise_descriptors();
    let [what, of] = [2, 3].map(|number| env::args().nth(number).unwrap());
    report(Duration::ZERO, Duration::ZERO, 0);
    for _ in io::stdin().lines() {
        match what.as_str() {
            "floor" | "steady floor" => {
                let queries = if what == "floor" { FIRST } else { STEADY };
                let mut floor = Floor::connect(sockets(&of)).unwrap();
                measure(Duration::ZERO, || floor.pass(queries).unwrap());
            }
            _ => {
                let pause = if what == "later" { LATER } else { Duration::ZERO };
                let connect = Connect::open(&of).unwrap();
                measure(pause, || complete(&ask(&connect)));
                connect.close();
            }
        }
    }
}

fn measure(pause: Duration, mut call: impl FnMut() -> usize) {
    call();
    thread::sleep(pause);
    let (start, cpu) = (Instant::now(), cpu_time());
    let guests = call();
    report(start.elapsed(), cpu_time() - cpu, guests);
}

/// Makes the bulk call.
pub(crate) fn ask(connect: &Connect) -> StatsReport {
    let request = StatsRequest::new().timeout(Duration::from_secs(30));
    connect.all_domain_stats(&request).unwrap()
}

/// Returns the number of records; each must be complete.
pub(crate) fn complete(report: &StatsReport) -> usize {
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    for record in &report.domains {
        let mut missing = record.missing.iter().map(|group| &group.missing);
        assert!(missing.all(|missing| missing.reason.is_expected()), "{record:?}");
    }
    report.domains.len()
}

/// Returns the monitors in a folder, from a pattern such as `FOLDER/*.qmp`.
fn sockets(pattern: &str) -> Vec<PathBuf> {
    let (folder, _) = pattern.rsplit_once('/').unwrap();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "qmp")).collect()
}

fn report(wall: Duration, cpu: Duration, guests: usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let rss = rss.split_whitespace().next().unwrap();
    // The listed folder's own descriptor is among them.
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    println!("{} {} {rss} {descriptors} {guests}", wall.as_nanos(), cpu.as_nanos());
}

/// Returns the CPU time of this process so far, including threads that have ended.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
