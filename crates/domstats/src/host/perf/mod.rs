//! The kernel's performance counters (`perf_event_open`) for a process.
//!
//! A counter counts from the moment it is opened. One is opened for each thread that the process
//! has then; threads that those start later are included.

mod open;

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[cfg(feature = "perf")]
use perf_event_open_sys::bindings;
use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};

use super::process::Folder;

/// An event that the kernel can count.
#[derive(Debug)]
pub(crate) struct Event {
    /// libvirt's name for it.
    pub(crate) name: &'static str,
    kind: u32,
    config: u32,
}

#[cfg(feature = "perf")]
macro_rules! events {
    ($($name:ident $kind:ident $config:ident;)*) => {
        /// The events that libvirt counts, in its order; without `cmt`, `mbmt` and `mbml`, which
        /// the kernel no longer has.
        static EVENTS: &[Event] = &[$(Event {
            name: stringify!($name),
            kind: bindings::$kind,
            config: bindings::$config,
        }),*];
    };
}

#[cfg(not(feature = "perf"))]
static EVENTS: &[Event] = &[];

#[cfg(feature = "perf")]
events! {
    cpu_cycles PERF_TYPE_HARDWARE PERF_COUNT_HW_CPU_CYCLES;
    instructions PERF_TYPE_HARDWARE PERF_COUNT_HW_INSTRUCTIONS;
    cache_references PERF_TYPE_HARDWARE PERF_COUNT_HW_CACHE_REFERENCES;
    cache_misses PERF_TYPE_HARDWARE PERF_COUNT_HW_CACHE_MISSES;
    branch_instructions PERF_TYPE_HARDWARE PERF_COUNT_HW_BRANCH_INSTRUCTIONS;
    branch_misses PERF_TYPE_HARDWARE PERF_COUNT_HW_BRANCH_MISSES;
    bus_cycles PERF_TYPE_HARDWARE PERF_COUNT_HW_BUS_CYCLES;
    stalled_cycles_frontend PERF_TYPE_HARDWARE PERF_COUNT_HW_STALLED_CYCLES_FRONTEND;
    stalled_cycles_backend PERF_TYPE_HARDWARE PERF_COUNT_HW_STALLED_CYCLES_BACKEND;
    ref_cpu_cycles PERF_TYPE_HARDWARE PERF_COUNT_HW_REF_CPU_CYCLES;
    cpu_clock PERF_TYPE_SOFTWARE PERF_COUNT_SW_CPU_CLOCK;
    task_clock PERF_TYPE_SOFTWARE PERF_COUNT_SW_TASK_CLOCK;
    page_faults PERF_TYPE_SOFTWARE PERF_COUNT_SW_PAGE_FAULTS;
    context_switches PERF_TYPE_SOFTWARE PERF_COUNT_SW_CONTEXT_SWITCHES;
    cpu_migrations PERF_TYPE_SOFTWARE PERF_COUNT_SW_CPU_MIGRATIONS;
    page_faults_min PERF_TYPE_SOFTWARE PERF_COUNT_SW_PAGE_FAULTS_MIN;
    page_faults_maj PERF_TYPE_SOFTWARE PERF_COUNT_SW_PAGE_FAULTS_MAJ;
    alignment_faults PERF_TYPE_SOFTWARE PERF_COUNT_SW_ALIGNMENT_FAULTS;
    emulation_faults PERF_TYPE_SOFTWARE PERF_COUNT_SW_EMULATION_FAULTS;
}

/// The events to count, and how many descriptors that may take.
#[derive(Debug)]
pub(crate) struct Counting {
    events: Vec<&'static Event>,
    descriptors: Arc<AtomicUsize>,
}

/// The counters of one process.
#[derive(Debug)]
pub(super) struct Counters {
    counters: Vec<Counter>,
    _taken: Option<Taken>,
}

/// The counters of one event, one per thread, or why there are none.
#[derive(Debug)]
struct Counter {
    event: &'static Event,
    files: Result<Vec<File>, Refusal>,
}

/// Descriptors in use; returned when dropped.
#[derive(Debug)]
struct Taken {
    count: usize,
    from: Arc<AtomicUsize>,
}

/// The count of an event, or why it was not counted.
pub(crate) type Count = (&'static Event, Result<u64, Refusal>);

/// Why an event is not counted, the most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// The caller may not count the events of other users' processes, or of the kernel.
    Denied,
    /// There are no descriptors left.
    Exhausted,
    /// The process ended.
    Failed,
    /// The machine or its kernel does not count this event.
    Unsupported,
}

/// The share of the caller's descriptors that counters may take: one in this many.
const SHARE: u64 = 4;

/// The most descriptors that counters take, whatever the caller may open.
const DESCRIPTORS: u64 = 1 << 16;

/// How often the threads are listed, in search of two equal lists.
const TRIES: usize = 4;

impl Counting {
    /// Parses a comma-separated list of libvirt's names; `all` stands for all of them, and `cycles`
    /// for `cpu_cycles`. Returns the first wrong name as the error.
    pub(crate) fn parse(list: &str) -> Result<Self, &str> {
        let mut events: Vec<&'static Event> = Vec::new();
        for name in list.split(',') {
            let name = if name == "cycles" { "cpu_cycles" } else { name };
            let found = |event: &&Event| name == "all" || event.name == name;
            let mut named = EVENTS.iter().filter(found).peekable();
            named.peek().ok_or(name)?;
            for event in named {
                if events.iter().all(|known| known.name != event.name) {
                    events.push(event);
                }
            }
        }
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let share = usize::try_from((limit / SHARE).min(DESCRIPTORS)).unwrap_or(0);
        Ok(Self { events, descriptors: Arc::new(AtomicUsize::new(share)) })
    }

    /// Returns the names that [`Counting::parse`] accepts.
    pub(crate) fn names() -> String {
        let names: Vec<_> = EVENTS.iter().map(|event| event.name).collect();
        format!("all, {}", names.join(", "))
    }

    /// Starts counting for a process.
    pub(super) fn begin(&self, folder: &Folder<'_>) -> Counters {
        let threads = || folder.threads().unwrap_or_default();
        let mut before = threads();
        let mut counters = self.open(&before);
        for _ in 1..TRIES {
            let after = threads();
            if after == before {
                break;
            }
            // Whether a thread started meanwhile is counted depends on which thread started it.
            before = after;
            drop(counters);
            counters = self.open(&before);
        }
        counters
    }

    fn open(&self, threads: &[u32]) -> Counters {
        let count = self.events.len().saturating_mul(threads.len());
        let taken = Taken::take(&self.descriptors, count);
        let open = |event: &&'static Event| match taken {
            Some(_) => Counter { event, files: open_all(event, threads) },
            None => Counter { event, files: Err(Refusal::Exhausted) },
        };
        Counters { counters: self.events.iter().map(open).collect(), _taken: taken }
    }
}

impl Counters {
    /// Returns whether at least one event is counted.
    pub(super) fn count_something(&self) -> bool {
        self.counters.iter().any(|counter| counter.files.is_ok())
    }

    /// Returns the count of each event.
    pub(super) fn read(&self) -> Vec<Count> {
        self.counters.iter().map(|counter| (counter.event, counter.read())).collect()
    }
}

/// Opens an event's counters for some threads.
fn open_all(event: &Event, threads: &[u32]) -> Result<Vec<File>, Refusal> {
    let mut files = Vec::with_capacity(threads.len());
    for tid in threads {
        match open::open(*tid, event.kind, event.config) {
            Ok(file) => files.push(file),
            Err(error) => match Errno::from_io_error(&error) {
                // The thread ended.
                Some(Errno::SRCH) => {}
                errno => return Err(Refusal::of(errno)),
            },
        }
    }
    // Without a single thread there is no count, not a count of 0.
    if files.is_empty() { Err(Refusal::Failed) } else { Ok(files) }
}

impl Counter {
    fn read(&self) -> Result<u64, Refusal> {
        let mut total: u64 = 0;
        for mut file in self.files.as_ref().map_err(|refusal| *refusal)? {
            let mut count = [0; 8];
            file.read_exact(&mut count).map_err(|_| Refusal::Failed)?;
            total = total.saturating_add(u64::from_ne_bytes(count));
        }
        Ok(total)
    }
}

impl Refusal {
    fn of(errno: Option<Errno>) -> Self {
        match errno {
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
            Some(Errno::MFILE | Errno::NFILE) => Self::Exhausted,
            // The kernel reports this in many ways: no such event, no such unit, no such call.
            _ => Self::Unsupported,
        }
    }
}

impl Taken {
    fn take(from: &Arc<AtomicUsize>, count: usize) -> Option<Self> {
        let less = |left: usize| left.checked_sub(count);
        from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Some(Self { count, from: Arc::clone(from) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.from.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "perf"))]
mod tests {
    use super::*;
    use crate::host::{process::Process, procfs::Proc};

    fn names(list: &str) -> Result<Vec<&'static str>, &str> {
        Ok(Counting::parse(list)?.events.iter().map(|event| event.name).collect())
    }

    #[test]
    fn parses_lists_of_names() {
        assert_eq!(names("instructions,cycles,cpu_cycles"), Ok(vec!["instructions", "cpu_cycles"]));
        assert_eq!(names("all").map(|names| names.len()), Ok(19));
        assert_eq!(
            names("page_faults,all").map(|names| names[..2].to_vec()),
            Ok(vec!["page_faults", "cpu_cycles"])
        );
        for (list, wrong) in
            [("", ""), ("cpu", "cpu"), ("instructions,", ""), ("ALL,x", "ALL"), ("cmt", "cmt")]
        {
            assert_eq!(names(list), Err(wrong), "{list}");
        }
    }

    #[test]
    fn descriptors_are_bounded_and_returned() {
        let counting = Counting::parse("page_faults,task_clock").unwrap();
        let threads = [std::process::id(); 3];
        counting.descriptors.store(2 * threads.len() - 1, Ordering::Relaxed);
        let refused = |counters: Counters| counters.counters[0].files.as_ref().err().copied();
        assert_eq!(refused(counting.open(&threads)), Some(Refusal::Exhausted));
        counting.descriptors.store(2 * threads.len(), Ordering::Relaxed);
        let counters = counting.open(&threads);
        assert_eq!(counting.descriptors.load(Ordering::Relaxed), 0);
        drop(counters);
        assert_eq!(counting.descriptors.load(Ordering::Relaxed), 2 * threads.len());
    }

    #[test]
    fn a_process_that_has_ended_counts_nothing() {
        let counting = Counting::parse("page_faults").unwrap();
        // Above the largest possible pid.
        let gone = (1 << 22) + 1;
        let proc = Proc::new("/proc");
        let folder = Folder::new(&proc, Process { pid: gone, start_time: 1 });
        for counters in [counting.begin(&folder), counting.open(&[gone])] {
            assert!(!counters.count_something());
            assert_eq!(counters.read()[0].1, Err(Refusal::Failed));
        }
    }
}
