//! Bounds the time that a call spends on lists whose length a process controls: its descriptors,
//! its threads, the processes in its cgroup.
//!
//! Only CPU time of the calling thread counts, so a busy machine takes nothing away.

use std::{
    collections::HashMap,
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::sync::lock;

use rustix::time::{ClockId, clock_gettime};

use super::{
    process::{Folder, Process},
    shares::Shares,
};

/// The time that every process's lists may cost a call: enough for some thousand descriptors. The
/// longest lists of honest VMs, with hundreds of network connections to their storage, take ten
/// times that.
const EACH: Duration = Duration::from_millis(2);

/// How long a call waits for a [`BlockingCall`](super::blocking::BlockingCall): storage that works
/// delivers a file that is not in the kernel's caches within this time.
pub(super) const WAIT: Duration = Duration::from_millis(20);

/// The clock is read once in this many steps, of about 2 us each.
const STEPS: u32 = 16;

/// The time budget of a call.
#[derive(Debug)]
pub(super) struct Allowance {
    until: Instant,
    spent: Mutex<Spent>,
    waited: Mutex<Shares>,
}

#[derive(Debug)]
struct Spent {
    shares: Shares,
    /// The time spent on each process, in nanoseconds, and its user, once that mattered.
    processes: HashMap<Process, (u64, Option<u32>)>,
}

impl Allowance {
    /// Grants half of the time until `until` to processes that need more than [`EACH`], and at most
    /// a quarter to those of one user.
    pub(super) fn new(until: Instant) -> Self {
        let rest = until.saturating_duration_since(Instant::now()) / 2;
        let shares = Shares::new(nanoseconds(EACH), nanoseconds(rest));
        let spent = Mutex::new(Spent { shares, processes: HashMap::new() });
        Self { until, spent, waited: Mutex::new(Shares::new(0, nanoseconds(rest / 2))) }
    }

    /// Returns how long to wait for a blocking call on behalf of a user: at most [`WAIT`], and all
    /// waits together take at most a quarter of the call's time.
    pub(super) fn wait(&self, user: Option<u32>) -> Duration {
        let mut waited = lock(&self.waited);
        match waited.change(0, nanoseconds(WAIT), || user) {
            true => WAIT,
            false => Duration::ZERO,
        }
    }

    /// Records time spent on a process, and returns whether more may be spent.
    fn spend(&self, folder: &Folder<'_>, time: u64) -> bool {
        let mut spent = lock(&self.spent);
        let Spent { shares, processes } = &mut *spent;
        let (before, user) = processes.entry(folder.process).or_default();
        let after = before.saturating_add(time);
        let is_more = after > nanoseconds(EACH);
        if is_more && Instant::now() >= self.until {
            return false;
        }
        if is_more && user.is_none() {
            *user = folder.owner();
        }
        let may = shares.change(*before, after, || *user);
        if may {
            *before = after;
        }
        may
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the CPU time of this thread, in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.unsigned_abs())
}

/// One reading of one list of a process.
#[derive(Debug)]
pub(crate) struct Quota<'a> {
    folder: &'a Folder<'a>,
    steps: u32,
    since: Option<u64>,
    is_over: bool,
}

impl<'a> Quota<'a> {
    pub(crate) fn new(folder: &'a Folder<'a>) -> Self {
        Self { folder, steps: 0, since: None, is_over: false }
    }

    /// Accounts for one more entry.
    ///
    /// # Errors
    ///
    /// `TimedOut` if the call has used up its time for the process.
    pub(crate) fn step(&mut self) -> io::Result<()> {
        let Some(allowance) = &self.folder.proc.allowance else { return Ok(()) };
        self.steps = self.steps.wrapping_add(1);
        if !self.is_over && self.steps.is_multiple_of(STEPS) {
            let now = thread_time();
            let time = self.since.replace(now).map_or(0, |since| now.saturating_sub(since));
            self.is_over = !allowance.spend(self.folder, time);
        }
        if self.is_over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Returns whether the time is used up.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::procfs::Proc;

    fn own(proc: &Proc) -> Folder<'_> {
        Folder::of(proc, std::process::id()).unwrap().0
    }

    /// Steps until the time is used up; each step takes a while.
    fn steps(folder: &Folder<'_>, most: u32) -> u32 {
        let mut quota = Quota::new(folder);
        let work = || drop(std::hint::black_box(std::fs::read("/proc/self/stat")));
        (0..most).take_while(|_| quota.step().is_ok()).inspect(|_| work()).count() as u32
    }

    #[test]
    fn one_users_blocking_calls_leave_time_to_others() {
        let allowance = Allowance::new(Instant::now() + Duration::from_secs(1));
        let waits = |user| (0..100).take_while(|_| allowance.wait(Some(user)) == WAIT).count();
        // An eighth of a second, then half of the rest.
        let (first, second) = (waits(1), waits(2));
        assert!((5..=6).contains(&first) && (2..=3).contains(&second), "{first}, {second}");
    }

    #[test]
    fn a_call_ends_and_every_process_still_gets_a_little() {
        let proc = Proc::new("/proc");
        assert_eq!(steps(&own(&proc), 5000), 5000, "no limit outside a call");
        let over = proc.for_call(Instant::now());
        let (first, second) = (steps(&own(&over), 5000), steps(&own(&over), 5000));
        assert!(first > STEPS && first < 5000, "{first}");
        assert!(second <= 3 * STEPS, "{second} after {first}");
        let ahead = proc.for_call(Instant::now() + Duration::from_secs(1000));
        assert_eq!(steps(&own(&ahead), 5000), 5000);
    }
}
