//! Calls of another client, relayed unchanged.

use std::{
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    link::{owned, silent, wait},
    pass::Purpose,
    pool::{InFlight, Permit, Pool, SHARE},
};
use crate::{
    driver::capability::{Call, Relayed},
    model::{
        error::{Error, ErrorKind, ErrorOrigin, Result},
        report::{Missing, MissingReason},
    },
};

/// The part of the share that such calls may use; the rest is for statistics.
const PART: usize = SHARE / 2;

/// The pause before a call looks again whether there is room for it.
const PAUSE: Duration = Duration::from_millis(2);

/// Relays a call that needs no monitor.
pub(super) fn quick(pool: &Pool, call: Call<'_>, deadline: Instant) -> Result<Relayed> {
    let mut lease = pool.lease(deadline)?;
    let link = lease.front.first_mut().ok_or_else(silent)?;
    link.relay(call.procedure, call.arguments, deadline)
}

/// Relays a call that may need a domain's monitor. While one is unanswered, others about the same
/// domain fail at once: each would hold a thread of the daemon.
pub(super) fn to_monitor(
    pool: &Pool,
    domain: Uuid,
    call: Call<'_>,
    deadline: Instant,
) -> Result<Relayed> {
    pool.tidy();
    if is_stuck(pool, domain) {
        return Err(late("libvirt still waits for the domain's monitor since a call before"));
    }
    let permit = permit(pool, deadline)?;
    ask_monitor(pool, domain, call, permit, deadline)
}

/// Does the same if there is room at once and the monitor is not known to be stuck; `None` otherwise.
pub(super) fn to_free_monitor(
    pool: &Pool,
    domain: Uuid,
    call: Call<'_>,
    deadline: Instant,
) -> Result<Option<Relayed>> {
    pool.tidy();
    match pool.permit_below(PART) {
        Some(permit) if !is_stuck(pool, domain) => {
            ask_monitor(pool, domain, call, permit, deadline).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns whether the daemon is known to wait for the domain's monitor.
fn is_stuck(pool: &Pool, domain: Uuid) -> bool {
    pool.health.stuck(domain).is_some_and(|stuck| stuck.abandoned > 0)
}

fn ask_monitor(
    pool: &Pool,
    domain: Uuid,
    call: Call<'_>,
    permit: Permit,
    deadline: Instant,
) -> Result<Relayed> {
    let mut lease = pool.lease_for_monitor(deadline)?;
    let link = lease.monitor.first_mut().ok_or_else(silent)?;
    let number = pool.next_call();
    let question = InFlight {
        call: number,
        purpose: Purpose::Handshake,
        domains: vec![domain],
        permit: Some(permit),
    };
    link.ask_of(call.procedure, call.arguments, question)?;
    let mut relayed = None;
    while relayed.is_none() {
        if !wait(&[&*link], deadline)? {
            let sentence = "libvirt did not answer in time: its monitor is stuck or busy";
            pool.health.note_stuck(domain, Missing::new(MissingReason::Timeout, sentence), true);
            return Err(late(sentence));
        }
        link.pump(|question, answer| match question.call == number {
            true => relayed = Some(owned(answer)),
            false => pool.health.note_answered(&question.domains),
        })?;
    }
    relayed.ok_or_else(silent)
}

/// Waits for room in the share.
fn permit(pool: &Pool, deadline: Instant) -> Result<Permit> {
    loop {
        match pool.permit_below(PART) {
            Some(permit) => return Ok(permit),
            None if Instant::now() + PAUSE >= deadline => {
                return Err(late("libvirt still waits for the monitors of other domains"));
            }
            None => thread::sleep(PAUSE),
        }
    }
}

fn late(sentence: &str) -> Error {
    Error::new(ErrorKind::Timeout, ErrorOrigin::Rpc, sentence)
}
