//! Guests that come and go at random, while several callers read all of them at once.
//!
//! The world knows at each moment which guests exist and in which state, so every report is checked
//! against the truth: a guest that was well for the whole call has a complete record, one that was
//! disturbed has a record that says so or none, and one that had ended before has none. Between two
//! calm moments, in which all guests are well and no call runs, nothing may have leaked.

use std::{
    fmt, fs,
    path::Path,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use domstats::{Connect, DomainStats, StatsGroups, StatsReport, StatsRequest, stats::Group};
use serde_json::json;

use crate::{
    compare::lacks,
    guest::{Guest, Spec, boot_all},
    patience::Stopwatch,
    process::memory,
    random::Random,
};

/// The number of guests at a calm moment.
const GUESTS: usize = 6;

/// The number of concurrent callers.
const CALLERS: usize = 4;

/// The timeout of a call that must have a complete record of each well guest, however busy the
/// machine is; and the short one.
const PATIENT: Duration = Duration::from_secs(10);
const HASTY: Duration = Duration::from_millis(200);

/// How much longer than its timeout a call may take.
const SLACK: Duration = Duration::from_secs(1);

/// How long after a stop a continued guest is not yet expected to be complete: calls have to
/// notice.
const GRACE: Duration = Duration::from_secs(2);

/// How much more memory a process may have at the end, in KiB: the allocator returns little.
const MEMORY: u64 = 4 << 10;

/// The history of one guest.
#[derive(Debug)]
struct Life {
    name: String,
    /// When it began to start.
    begun: Instant,
    /// When it had started.
    up: Option<Instant>,
    /// When it was last stopped or ended, and when it last became well.
    disturbed: Instant,
    well: Option<Instant>,
    /// When it began to end.
    ending: Option<Instant>,
    /// When its process was no longer there.
    gone: Option<Instant>,
}

/// The resources of a process.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kib: u64,
    /// Except those below.
    descriptors: usize,
    /// Files in the folders of living processes: their number varies on the whole host, and so does
    /// that of their threads.
    of_living: usize,
    threads: usize,
}

/// The result of a soak.
#[derive(Debug)]
pub struct Soaked {
    /// The number of calls made and checked.
    pub calls: u64,
    /// The number of things done to guests.
    pub acts: u64,
    warm: Held,
    end: Held,
}

struct World {
    connect: Connect,
    lives: Mutex<Vec<Life>>,
    /// Held for reading by a call.
    calm: RwLock<()>,
    over: AtomicBool,
    calls: AtomicU64,
    stopwatch: Stopwatch,
}

/// Soaks a connection. Progress goes to standard error.
///
/// # Panics
/// At the first report that is not true, at the first call that is late, and at the end if
/// something leaked.
/// was leaked.
#[must_use]
pub fn soak(uri: &str, time: Duration, seed: u64) -> Soaked {
    let world = World {
        connect: Connect::open(uri).unwrap(),
        lives: Mutex::default(),
        calm: RwLock::new(()),
        over: AtomicBool::new(false),
        calls: AtomicU64::new(0),
        stopwatch: Stopwatch::start(),
    };
    // Alive until the last call is over.
    let mut guests = Guests::default();
    eprintln!("soak of {uri} for {} s, seed {seed}", time.as_secs());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let world = &world;
            scope.spawn(move || {
                // A thread that fails ends it for all.
                let _over = SetOnDrop(&world.over);
                let mut random = Random::new(seed ^ (caller as u64 + 1));
                while !world.over.load(Ordering::Relaxed) {
                    let hasty = caller == 0 && random.below(2) == 0;
                    world.call(if hasty { HASTY } else { PATIENT });
                    thread::sleep(Duration::from_millis(random.below(100)));
                }
            });
        }
        let _over = SetOnDrop(&world.over);
        world.live(&mut guests, time, &mut Random::new(seed))
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// Does something to a guest, repeatedly.
    fn live(&self, guests: &mut Guests, time: Duration, random: &mut Random) -> Soaked {
        self.fill(guests);
        let start = Instant::now();
        let warm_up = (time / 6).max(Duration::from_secs(10)).min(time / 2);
        let mut acts = 0;
        let mut warm = None;
        let mut said = start;
        while start.elapsed() < time && !self.over.load(Ordering::Relaxed) {
            self.act(guests, random);
            acts += 1;
            thread::sleep(Duration::from_millis(random.below(400)));
            if warm.is_none() && start.elapsed() > warm_up {
                warm = Some(self.calm(guests));
            }
            if said.elapsed() > Duration::from_secs(10) {
                said = Instant::now();
                let calls = self.calls.load(Ordering::Relaxed);
                eprintln!(
                    "{:4} s: {calls} calls, {acts} acts, {}",
                    start.elapsed().as_secs(),
                    Held::now()
                );
            }
        }
        assert!(!self.over.load(Ordering::Relaxed), "a caller failed");
        let end = self.calm(guests);
        let soaked =
            Soaked { calls: self.calls.load(Ordering::Relaxed), acts, warm: warm.unwrap(), end };
        eprintln!("{soaked}");
        soaked.check();
        soaked
    }

    fn act(&self, guests: &mut Guests, random: &mut Random) {
        let count = guests.well.len() as u64;
        match random.below(6) {
            0 | 1 if guests.len() < GUESTS + 2 => self.boot(guests, 1),
            2 if count > 0 => {
                let guest = guests.well.swap_remove(random.index(count));
                self.disturb(&guest);
                guest.freeze();
                guests.frozen.push(guest);
            }
            3 if !guests.frozen.is_empty() => {
                let guest = guests.frozen.swap_remove(random.index(guests.frozen.len() as u64));
                self.thaw(&guest);
                guests.well.push(guest);
            }
            4 if count > 1 => {
                let guest = guests.well.swap_remove(random.index(count));
                self.begin_to_end(&guest);
                let _ = guest.side().try_ask("quit", json!({}));
                self.end(guest);
            }
            5 if guests.len() > 1 => {
                let all =
                    if guests.frozen.is_empty() { &mut guests.well } else { &mut guests.frozen };
                let guest = all.swap_remove(random.index(all.len() as u64));
                self.end(guest);
            }
            _ => {}
        }
    }

    /// Makes all guests well, waits until no call is in flight, and returns the resources of the
    /// process.
    fn calm(&self, guests: &mut Guests) -> Held {
        while let Some(guest) = guests.frozen.pop() {
            self.thaw(&guest);
            guests.well.push(guest);
        }
        while guests.len() > GUESTS {
            self.end(guests.well.pop().unwrap());
        }
        self.fill(guests);
        thread::sleep(GRACE);
        // Leaks persist. The next call notices a process that has just ended.
        let held = (0..3).map(|_| {
            self.call(PATIENT);
            let _calm = self.calm.write().unwrap_or_else(PoisonError::into_inner);
            Held::now()
        });
        held.min_by_key(|held| held.descriptors).unwrap()
    }

    fn fill(&self, guests: &mut Guests) {
        self.boot(guests, GUESTS.saturating_sub(guests.len()));
    }

    fn boot(&self, guests: &mut Guests, count: usize) {
        let specs: Vec<_> = (0..count)
            .map(|_| Spec::new("soak").vcpus(2, 2).raw_disks(1).taps(1).iothreads(1).balloon())
            .collect();
        let now = Instant::now();
        self.lives().extend(specs.iter().map(|spec| Life {
            name: spec.name().to_owned(),
            begun: now,
            up: None,
            disturbed: now,
            well: None,
            ending: None,
            gone: None,
        }));
        let booted = boot_all(specs);
        booted.iter().for_each(|guest| self.well(guest));
        guests.well.extend(booted);
    }

    fn thaw(&self, guest: &Guest) {
        guest.thaw();
        self.well(guest);
    }

    fn end(&self, guest: Guest) {
        self.begin_to_end(&guest);
        let name = guest.name().to_owned();
        drop(guest);
        let now = Instant::now();
        let mut lives = self.lives();
        lives.iter_mut().find(|life| life.name == name).unwrap().gone = Some(now);
        // No call is that old.
        lives.retain(|life| life.gone.is_none_or(|gone| gone + 4 * PATIENT > now));
    }

    /// Records that a guest is about to be stopped.
    fn disturb(&self, guest: &Guest) {
        self.note(guest, |life| life.disturbed = Instant::now());
    }

    fn begin_to_end(&self, guest: &Guest) {
        self.disturb(guest);
        self.note(guest, |life| life.ending = life.ending.or(Some(life.disturbed)));
    }

    fn well(&self, guest: &Guest) {
        let now = Some(Instant::now());
        self.note(guest, |life| (life.up, life.well) = (life.up.or(now), now));
    }

    fn note(&self, guest: &Guest, what: impl FnOnce(&mut Life)) {
        what(self.lives().iter_mut().find(|life| life.name == guest.name()).unwrap());
    }

    fn lives(&self) -> std::sync::MutexGuard<'_, Vec<Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call and checks it.
    fn call(&self, timeout: Duration) {
        let _calm = self.calm.read().unwrap_or_else(PoisonError::into_inner);
        let (start, began) = (Instant::now(), self.stopwatch.time());
        let report = self.connect.all_domain_stats(&StatsRequest::new().timeout(timeout)).unwrap();
        let end = Instant::now();
        (self.stopwatch.time() - began).assert_within(timeout + SLACK);
        for life in self.lives().iter() {
            life.check(&report, timeout, [start, end]);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Life {
    fn check(&self, report: &StatsReport, timeout: Duration, [start, end]: [Instant; 2]) {
        let name = &self.name;
        let about = || format!("{self:?}, the call {start:?} to {end:?}");
        let records = report.domains.iter().filter(|record| record.domain.name == *name).count();
        let missing = report.missing.iter().filter(|missing| missing.domain.name == *name).count();
        assert!(records + missing <= 1, "{name} is there twice: {}", about());
        if self.gone.is_some_and(|gone| gone < start) || self.begun > end {
            assert_eq!(records + missing, 0, "{name} does not exist: {}", about());
        }
        let is_there = self.up.is_some_and(|up| up < start);
        let stays = self.ending.is_none_or(|ending| ending > end);
        if is_there && stays {
            assert_eq!(records, 1, "{name} is missing: {:?}, {}", report.missing, about());
        }
        let Some(record) = report.domain(name) else { return };
        assert_eq!(unmarked(record), [""; 0], "{name}: {}", about());
        let was_well = self.well.is_some_and(|well| {
            well + GRACE < start && (self.disturbed < well || self.disturbed > end)
        });
        if was_well && stays && timeout == PATIENT {
            assert_eq!(lacks(record), [""; 0], "{name}: {}", about());
        }
    }
}

/// Returns the groups that a record lacks without a reason.
fn unmarked(record: &DomainStats) -> Vec<&'static str> {
    let has = [
        (StatsGroups::STATE, record.state.is_some()),
        (StatsGroups::CPU_TOTAL, record.cpu.is_some()),
        (StatsGroups::BALLOON, record.balloon.is_some()),
        (StatsGroups::VCPU, record.vcpu.is_some()),
        (StatsGroups::INTERFACE, record.interface.is_some()),
        (StatsGroups::BLOCK, record.block.is_some()),
        (StatsGroups::IOTHREAD, record.iothread.is_some()),
        (StatsGroups::DIRTYRATE, record.dirtyrate.is_some()),
    ];
    has.into_iter()
        .filter(|(group, has)| !has && record.why_missing(*group).is_none())
        .filter_map(|(group, _)| Some(Group::by_bit(group)?.name))
        .collect()
}

#[derive(Debug, Default)]
struct Guests {
    well: Vec<Guest>,
    frozen: Vec<Guest>,
}

impl Guests {
    fn len(&self) -> usize {
        self.well.len() + self.frozen.len()
    }
}

impl Held {
    fn now() -> Self {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let files = files.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let (of_living, others): (Vec<_>, Vec<_>) = files.partition(|path| is_of_living(path));
        Self {
            memory_kib: memory(std::process::id()),
            descriptors: others.len(),
            of_living: of_living.len(),
            threads: fs::read_dir("/proc/self/task").unwrap().count(),
        }
    }
}

/// Returns whether a file is in the folder of a living process.
fn is_of_living(path: &Path) -> bool {
    let mut parts = path.components().skip(1).map(|part| part.as_os_str());
    let is_proc = parts.next().is_some_and(|name| name == "proc");
    is_proc && parts.next().is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_kib, descriptors, of_living, threads } = self;
        write!(
            f,
            "{memory_kib} KiB, {descriptors} descriptors and {of_living} of processes, {threads} threads"
        )
    }
}

impl Soaked {
    fn check(&self) {
        let Self { warm, end, .. } = self;
        assert!(end.descriptors <= warm.descriptors, "descriptors were leaked: {self}");
        assert!(end.of_living <= 2 * warm.of_living + 64, "descriptors were leaked: {self}");
        assert!(end.threads <= warm.threads, "threads were leaked: {self}");
        assert!(end.memory_kib <= warm.memory_kib + MEMORY, "memory was leaked: {self}");
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, acts, warm, end } = self;
        write!(f, "{calls} calls, {acts} acts; after warming up {warm}; at the end {end}")
    }
}
