//! One call to a daemon: many questions, side by side, and no domain waits for another.
//!
//! ```text
//! list ──┬── front link      slices ── groups that need no monitor ───────────────┐
//!        │                                                                        ├─ records
//!        └── monitor links   batches ── groups that may ask a monitor ── answered ┘
//!                               │  late: one by one     │ somebody else has the monitor: again
//! ```
//!
//! Questions that may ask a monitor never wait for one that another question has (`NOWAIT`): the
//! daemon answers at once with what it knows, and the pass asks again a moment later. So a monitor
//! that is stuck keeps one of the daemon's threads, the first that asked it, and never a second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use domstats_rpc::{
    message::{DomainStatsArgs, RemoteError},
    procedure::ConnectGetAllDomainStats,
    xdr::List,
};

use super::{
    link::{Answer, wait},
    plan::{Part, Plan},
    pool::{InFlight, Lease, Link, Pool, free_slots},
    record::{self, Slot},
    window::Window,
    wire,
};
use crate::model::{
    error::{Error, ErrorKind, Result},
    identity::DomainInfo,
    report::{Missing, MissingReason},
    request::StatsGroups,
};

/// The domains of one question that needs no monitor.
const SLICE: usize = 256;

/// The most domains of one question that may ask monitors.
const LARGEST_BATCH: usize = 32;

/// What a daemon takes for the monitor of one domain, roughly.
const ONE_DOMAIN: Duration = Duration::from_millis(4);

/// After this time the domains of a batch are asked one by one: one of them may be stuck.
const LATE: Duration = Duration::from_millis(100);
const LATE_PER_DOMAIN: Duration = Duration::from_millis(25);

/// The first pause before a domain whose monitor somebody else has is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How long a pass waits for domains that did not answer the last one, when only they are left.
const STUCK_GRACE: Duration = Duration::from_millis(20);

/// How often a pass looks whether other calls left a part of the share.
const SHARE_CHECK: Duration = Duration::from_millis(2);

/// How long a pass asks for nothing but what needs no monitor, of a daemon that is not known.
const HOST_FIRST: Duration = Duration::from_millis(100);

/// What a question in flight is for.
#[derive(Debug, Default)]
pub(super) enum Purpose {
    /// A step of opening the connection.
    #[default]
    Handshake,
    /// The domains that match the filter in this place.
    List(usize),
    /// A part of the statistics, of the slots in these places, asked for at this time.
    Stats(Part, Vec<usize>, SystemTime),
}

/// One call.
pub(super) struct Pass<'a> {
    pool: &'a Pool,
    call: u64,
    plan: Plan,
    slots: Vec<Slot>,
    slices: VecDeque<(Part, Vec<usize>)>,
    batches: VecDeque<Vec<usize>>,
    /// Batches in flight that are to be asked one by one when they are late.
    deadlines: Vec<(Instant, Vec<usize>)>,
    /// Domains whose monitor somebody else had, and when they are asked again.
    retries: Vec<(Instant, usize)>,
    window: Window,
    /// The slots before this one are over, or stuck.
    first_open: usize,
    /// Until when only what needs no monitor is asked, unless it is answered earlier. A daemon that
    /// was just started takes more than a second for the rest, and holds domains meanwhile.
    host_first: Option<Instant>,
    /// The error that ends the call: the daemon refused what was asked.
    refused: Option<Error>,
}

impl<'a> Pass<'a> {
    /// Prepares the questions. The round trip is how long the list of domains took.
    pub(super) fn new(
        pool: &'a Pool,
        call: u64,
        plan: Plan,
        domains: Vec<DomainInfo>,
        round_trip: Duration,
    ) -> Self {
        let slots: Vec<_> = domains
            .into_iter()
            .map(|info| {
                let stuck = info.uuid.and_then(|uuid| pool.health.stuck(uuid));
                Slot::new(info, stuck)
            })
            .collect();
        let places: Vec<_> = (0..slots.len()).collect();
        let slices = slices(&plan, |_| places.clone());
        let calm = slots.iter().all(|slot| slot.stuck.is_none());
        let mut batches = VecDeque::new();
        if plan.asks(Part::Monitor) {
            // A long way is worth larger batches: the daemon is not to run out of work.
            let size = round_trip.as_micros() / ONE_DOMAIN.as_micros();
            let size = usize::try_from(size).unwrap_or(LARGEST_BATCH).clamp(1, LARGEST_BATCH);
            let (stuck_domains, others): (Vec<_>, Vec<_>) =
                places.into_iter().partition(|place| slots[*place].stuck.is_some());
            batches.extend(others.chunks(size).map(<[_]>::to_vec));
            // One with two abandoned questions answers not even when it is not to wait.
            let asked = |place: &usize| {
                slots[*place].stuck.as_ref().is_some_and(|stuck| stuck.abandoned < 2)
            };
            batches.extend(stuck_domains.into_iter().filter(asked).map(|place| vec![place]));
        }
        Self {
            pool,
            call,
            plan,
            slots,
            slices,
            batches,
            deadlines: Vec::new(),
            retries: Vec::new(),
            window: if calm { Window::of_size(pool.window()) } else { Window::narrow() },
            first_open: 0,
            host_first: Self::host_first(pool),
            refused: None,
        }
    }

    fn host_first(pool: &Pool) -> Option<Instant> {
        pool.is_new().then(|| Instant::now() + HOST_FIRST)
    }

    /// Returns whether only what needs no monitor may be asked.
    fn is_host_first(&mut self) -> bool {
        let is_over = |slot: &Slot| slot.is_over(Part::Host, &self.plan);
        self.host_first = self
            .host_first
            .filter(|until| Instant::now() < *until && !self.slots.iter().all(is_over));
        self.host_first.is_some()
    }

    /// Asks, until everything is answered that will be.
    ///
    /// # Errors
    ///
    /// A connection breaks: the pass can [start over](Self::start_over) with another lease.
    pub(super) fn run(&mut self, lease: &mut Lease<'_>) -> Result<()> {
        lease.add_monitor_links(self.batches.len(), self.plan.deadline)?;
        let mut only_stuck_since = None;
        loop {
            self.ask(lease)?;
            let now = Instant::now();
            let mut until = self.plan.deadline;
            if !self.is_open() {
                if !self.stuck_open() {
                    return Ok(());
                }
                until = until.min(*only_stuck_since.get_or_insert(now) + STUCK_GRACE);
            }
            if now >= until {
                return Ok(());
            }
            let wake = self.next_event().map_or(until, |event| until.min(event));
            let links: Vec<_> = lease.front.iter().chain(&lease.monitor).collect();
            wait(&links, wake)?;
            for link in lease.front.iter_mut().chain(&mut lease.monitor) {
                link.pump(|question, answer| self.take(question, &answer))?;
            }
            if self.refused.is_some() {
                return Ok(());
            }
            self.on_time();
        }
    }

    /// Returns whether an answer is awaited, other than of stuck domains.
    fn is_open(&mut self) -> bool {
        while let Some(slot) = self.slots.get(self.first_open) {
            let is_open = |part: Part| {
                let waited_for = part != Part::Monitor || slot.stuck.is_none();
                waited_for && !slot.is_over(part, &self.plan)
            };
            if Part::ALL.into_iter().any(is_open) {
                return true;
            }
            self.first_open += 1;
        }
        false
    }

    fn stuck_open(&self) -> bool {
        let is_open = |slot: &Slot| !slot.is_over(Part::Monitor, &self.plan);
        self.slots.iter().any(|slot| slot.stuck.is_some() && is_open(slot))
    }

    /// Sends the questions for which there is room.
    fn ask(&mut self, lease: &mut Lease<'_>) -> Result<()> {
        let host_first = self.is_host_first();
        let is_due = |(part, _): &(Part, _)| *part == Part::Host || !host_first;
        for front in &mut lease.front {
            while free_slots(front) > 0
                && self.slices.front().is_some_and(is_due)
                && let Some((part, slice)) = self.slices.pop_front()
            {
                let args = self.question(&slice, self.plan.groups(part));
                let purpose = Purpose::Stats(part, slice, SystemTime::now());
                let question = InFlight { call: self.call, purpose, ..InFlight::default() };
                front.ask::<ConnectGetAllDomainStats>(&args, question)?;
            }
            front.send()?;
        }
        // In turns, so that each connection has as many as the others.
        while !host_first
            && self.window.is_open()
            && let Some(link) = lease.monitor.iter_mut().max_by_key(|link| free_slots(link))
            && free_slots(link) > 0
        {
            let Some(batch) = self.next_batch() else { break };
            let Some(permit) = self.pool.permit() else {
                self.batches.push_front(batch);
                break;
            };
            let again = batch.iter().any(|place| self.slots[*place].pauses > 0);
            let question = InFlight {
                call: self.call,
                domains: batch.iter().filter_map(|place| self.slots[*place].info.uuid).collect(),
                purpose: Purpose::Stats(Part::Monitor, batch.clone(), SystemTime::now()),
                permit: Some(permit),
            };
            let mut groups = self.plan.telling(again);
            if batch.iter().all(|place| self.pool.health.is_without_vm(&self.slots[*place].info)) {
                groups -= StatsGroups::VM;
            }
            let args = self.question(&batch, groups);
            link.ask::<ConnectGetAllDomainStats>(&args, question)?;
            batch.iter().for_each(|place| self.slots[*place].in_flight += 1);
            self.window.asked();
            if batch.len() > 1 {
                let allowance = LATE_PER_DOMAIN * u32::try_from(batch.len()).unwrap_or(1);
                self.deadlines.push((Instant::now() + LATE + allowance, batch));
            }
        }
        lease.monitor.iter_mut().try_for_each(Link::send)
    }

    /// Takes the next batch, without domains that were answered since it was made.
    fn next_batch(&mut self) -> Option<Vec<usize>> {
        while let Some(mut batch) = self.batches.pop_front() {
            batch.retain(|place| !self.slots[*place].is_over(Part::Monitor, &self.plan));
            if !batch.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    fn question<'b>(&'b self, places: &[usize], groups: StatsGroups) -> DomainStatsArgs<'b> {
        let domains = places.iter().filter_map(|place| wire::domain(&self.slots[*place].info));
        DomainStatsArgs {
            domains: List(domains.collect()),
            stats: groups.bits(),
            flags: self.plan.flags,
        }
    }

    /// Takes an answer; a late one, to a question of an earlier call, is thrown away.
    fn take(&mut self, question: InFlight, answer: &Answer<'_>) {
        if question.call != self.call {
            return self.pool.health.note_answered(&question.domains);
        }
        let Purpose::Stats(part, places, asked) = question.purpose else { return };
        if part == Part::Monitor {
            self.window.answered();
            places.iter().for_each(|place| self.slots[*place].in_flight -= 1);
        }
        if let Err(error) = answer
            && let Some(refusal) = refusal(error)
        {
            self.refused = Some(refusal);
            return;
        }
        let records = match answer {
            Err(error) => Err(format!("libvirt: {error}")),
            Ok(payload) => record::decode(payload)
                .map_err(|fault| format!("libvirt's reply could not be understood: {fault}")),
        };
        match records {
            Ok(records) => {
                for place in places {
                    let slot = &mut self.slots[place];
                    let record = records.0.iter().find(|record| slot.is(&record.domain));
                    slot.take(part, record, asked, &self.plan);
                    if !slot.is_over(part, &self.plan) {
                        // Somebody else has the monitor.
                        let pause = FIRST_PAUSE * 2u32.saturating_pow(slot.pauses.min(8));
                        slot.pauses += 1;
                        self.retries.push((Instant::now() + pause.min(LONGEST_PAUSE), place));
                    }
                }
            }
            // Less is asked at a time: the reply was too large, or one domain spoils the others.
            Err(_) if places.len() > 1 => {
                let (first, second) = places.split_at(places.len() / 2);
                for half in [second, first].map(<[_]>::to_vec) {
                    match part {
                        Part::Monitor => self.batches.push_front(half),
                        part => self.slices.push_front((part, half)),
                    }
                }
            }
            Err(text) => {
                let missing = Missing::new(MissingReason::Failed, text);
                places.iter().for_each(|place| self.slots[*place].fail(part, &missing));
            }
        }
    }

    /// Returns when something is to be done though nothing comes.
    fn next_event(&self) -> Option<Instant> {
        let more = (!self.batches.is_empty()).then(|| match self.window.is_open() {
            // The share is free again when other calls are answered, which nobody tells.
            true => Instant::now() + SHARE_CHECK,
            false => self.window.opens(),
        });
        let more = self.host_first.or(more);
        let late = self.deadlines.iter().map(|(when, _)| *when);
        let retries = self.retries.iter().map(|(when, _)| *when);
        late.chain(retries).chain(more).min()
    }

    /// Does what is due: asks the domains of late batches one by one, and busy ones again.
    fn on_time(&mut self) {
        let now = Instant::now();
        self.window.on_time(now);
        let late: Vec<_> = self.deadlines.extract_if(.., |(when, _)| *when <= now).collect();
        let mut due: Vec<_> = self.retries.extract_if(.., |(when, _)| *when <= now).collect();
        if now + LONGEST_PAUSE > self.plan.deadline {
            // The answer would come too late, and look like one that never comes.
            due.clear();
        }
        let places = late.into_iter().flat_map(|(_, batch)| batch);
        for place in places.chain(due.into_iter().map(|(_, place)| place)) {
            self.batches.push_front(vec![place]);
        }
    }

    /// Asks again what broken connections cannot answer any more.
    pub(super) fn start_over(&mut self) {
        // What sound connections still answer is of another call.
        self.call = self.pool.next_call();
        self.slots.iter_mut().for_each(|slot| slot.in_flight = 0);
        // The daemon may have started anew, with few threads.
        self.window = Window::narrow();
        self.host_first = Self::host_first(self.pool);
        self.deadlines.clear();
        self.retries.clear();
        let open = |part| -> Vec<usize> {
            let is_open = |place: &usize| !self.slots[*place].is_over(part, &self.plan);
            (0..self.slots.len()).filter(is_open).collect()
        };
        self.slices = slices(&self.plan, open);
        self.batches = open(Part::Monitor).into_iter().map(|place| vec![place]).collect();
    }

    /// Returns whether the daemon answered about any of the domains, or there are none.
    pub(super) fn is_answered(&self) -> bool {
        self.slots.is_empty() || self.slots.iter().any(Slot::is_answered)
    }

    /// Returns the slots when the time is up, and remembers the domains that did not answer.
    ///
    /// # Errors
    ///
    /// The daemon refused what was asked.
    pub(super) fn finish(self) -> Result<Vec<Slot>> {
        let Self { pool, plan, mut slots, refused, window, .. } = self;
        pool.remember_window(window.size());
        if let Some(error) = refused {
            return Err(error);
        }
        let starved = pool.permit().is_none();
        for slot in &mut slots {
            if slot.is_without_vm(&plan) {
                pool.health.note_without_vm(&slot.info);
            }
            let abandoned = slot.in_flight > 0;
            match (slot.info.uuid, slot.time_is_up(starved)) {
                (Some(uuid), Some(missing)) => pool.health.note_stuck(uuid, missing, abandoned),
                (Some(uuid), None) if slot.monitor_is_done() => pool.health.note_answered(&[uuid]),
                _ => {}
            }
        }
        Ok(slots)
    }
}

/// Returns the error of the call, if the daemon's is about what was asked for, not about domains.
pub(super) fn refusal(error: &RemoteError<'_>) -> Option<Error> {
    let error = wire::error(error);
    match error.kind() {
        ErrorKind::NoSupport => {
            let text = "this libvirt has no bulk statistics: its driver lacks them, or it is older \
                        than 1.2.8";
            Some(Error::new(ErrorKind::NoSupport, error.origin(), text).because(error))
        }
        ErrorKind::InvalidArgument | ErrorKind::ArgumentUnsupported => Some(error),
        _ => None,
    }
}

/// Makes the questions that need no monitor, of the slots in the places that are open.
fn slices(plan: &Plan, open: impl Fn(Part) -> Vec<usize>) -> VecDeque<(Part, Vec<usize>)> {
    let mut slices = VecDeque::new();
    for part in [Part::Host, Part::Memory].into_iter().filter(|part| plan.asks(*part)) {
        slices.extend(open(part).chunks(SLICE).map(|places| (part, places.to_vec())));
    }
    slices
}
