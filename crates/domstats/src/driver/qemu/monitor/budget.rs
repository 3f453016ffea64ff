//! The memory budget for monitors' replies, parsed or still incomplete.

use std::{cell::RefCell, time::Instant};

use crate::{
    host::{
        process::{Folder, Process},
        procfs::Proc,
        shares::Shares,
    },
    model::report::{Missing, MissingReason},
};

/// What the replies of any guest may take, in bytes: enough for a guest with 64 vCPUs, KVM's
/// statistics of each included, or for one with a hundred disks.
pub(super) const EACH: u64 = 512 << 10;

/// What is available to all guests that need more, half of it to those of one user: the replies of
/// a guest with 256 disks of ten images each take some 40 MiB.
const REST: u64 = 128 << 20;

/// The memory budget of a pass.
#[derive(Debug)]
pub(crate) struct MemoryBudget<'a> {
    proc: &'a Proc,
    shares: RefCell<Shares>,
}

impl<'a> MemoryBudget<'a> {
    pub(crate) fn new(proc: &'a Proc) -> Self {
        Self { proc, shares: RefCell::new(Shares::new(EACH, REST)) }
    }
}

/// What one guest has of it.
#[derive(Debug)]
pub(crate) struct Reservation {
    process: Process,
    /// The process's user, once that mattered.
    user: Option<Option<u32>>,
    answers: u64,
    unfinished: u64,
}

impl Reservation {
    pub(crate) fn new(process: Process) -> Self {
        Self { process, user: None, answers: 0, unfinished: 0 }
    }

    /// Accounts for the bytes of an incomplete reply.
    ///
    /// # Errors
    ///
    /// If the guest may not take as many.
    pub(super) fn hold(&mut self, memory: &MemoryBudget<'_>, bytes: usize) -> Result<(), Missing> {
        self.change(memory, self.answers, bytes as u64)
    }

    /// Accounts for the bytes that a reply takes.
    ///
    /// # Errors
    ///
    /// If the guest may not take as many.
    pub(super) fn add(&mut self, memory: &MemoryBudget<'_>, bytes: u64) -> Result<(), Missing> {
        self.change(memory, self.answers.saturating_add(bytes), self.unfinished)
    }

    /// Returns whether the replies take more than those of most guests.
    pub(super) fn is_large(&self) -> bool {
        self.answers > EACH
    }

    fn change(
        &mut self,
        memory: &MemoryBudget<'_>,
        answers: u64,
        unfinished: u64,
    ) -> Result<(), Missing> {
        let from = self.answers.saturating_add(self.unfinished);
        let to = answers.saturating_add(unfinished);
        let (process, user) = (self.process, &mut self.user);
        let user = || *user.get_or_insert_with(|| Folder::new(memory.proc, process).owner());
        if !memory.shares.borrow_mut().change(from, to, user) {
            let text =
                "the monitor's answers take more memory than there is for the guests of one user";
            return Err(Missing::new(MissingReason::Failed, text));
        }
        (self.answers, self.unfinished) = (answers, unfinished);
        Ok(())
    }
}

/// A guest's reservation in a pass, while its monitor is read.
#[derive(Debug)]
pub(crate) struct AnswerBudget<'a> {
    pub(crate) reservation: &'a mut Reservation,
    pub(crate) memory: &'a MemoryBudget<'a>,
    /// The time after which no large reply is parsed.
    pub(crate) deadline: Instant,
}

impl AnswerBudget<'_> {
    /// As [`Reservation::hold`].
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Missing> {
        self.reservation.hold(self.memory, bytes)
    }

    /// As [`Reservation::add`]; also fails if there is no time to parse so large a reply.
    pub(super) fn add(&mut self, bytes: u64) -> Result<(), Missing> {
        if bytes > EACH && Instant::now() >= self.deadline {
            let text = "the monitor's answer is so large that there was no time to read it";
            return Err(Missing::new(MissingReason::Timeout, text));
        }
        self.reservation.add(self.memory, bytes)
    }

    pub(super) fn is_large(&self) -> bool {
        self.reservation.is_large()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guest_cannot_take_all() {
        let proc = Proc::new("/nonexistent");
        let memory = MemoryBudget::new(&proc);
        let account = |pid| Reservation::new(Process { pid, start_time: 0 });
        let (mut greedy, mut modest) = (account(1), account(2));
        assert!(!greedy.is_large() && greedy.hold(&memory, 1 << 20).is_ok());
        assert!(greedy.add(&memory, REST / 2).is_err(), "including incomplete replies");
        assert!(greedy.hold(&memory, 0).is_ok() && greedy.add(&memory, REST / 2).is_ok());
        assert!(greedy.is_large() && greedy.hold(&memory, 1 << 20).is_err());
        assert!(modest.add(&memory, EACH).is_ok() && !modest.is_large());
    }
}
