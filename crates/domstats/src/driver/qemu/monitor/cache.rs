//! Caches what a held session's monitor replied, as long as nothing can have changed it.
//!
//! QEMU announces many changes by events, and all events are read before a cached reply is used.
//! Other changes show in what the host sees. What neither reveals is queried in every call, or once
//! per [`BOUND`].
//!
//! | reply | is cached | until |
//! |---|---|---|
//! | `query-status` | if the guest runs | an event |
//! | | otherwise: a paused guest that is migrated away sends no event | an event, 1 s |
//! | `query-balloon` | if the guest runs | an event; QEMU may delay the next one for a second |
//! | | if it is paused: loading a snapshot changes its memory | an event, 1 s |
//! | `guest-stats` | if the guest is paused | an event, 1 s |
//! | no balloon among the devices | always: it is in another place | an event, 1 s |
//! | `query-iothreads` | always: setting an iothread wakes it | an event, a new thread, an iothread that ran |
//! | `query-named-block-nodes` | if all images are plain files | an event, other images in `query-blockstats`, a file that changed, 1 s: thresholds give no sign |
//! | the NICs | always | an event about devices, another tap, 60 s |
//! | `query-dirty-rate` | if no measurement runs: that takes a thread | an event, a new thread, 1 s |
//!
//! A thread that was woken but has not got a CPU yet has not run: until it does, an iothread's old
//! setting is reported.
//!
//! Everything else is queried in every call. The cache of a new session is empty, and so is that of
//! one that has missed a deadline.

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    driver::qemu::monitor::{
        image_files::Images,
        query::{
            Answer, BalloonSize, BlockNode, BlockStats, DirtyRate, GuestStats, Iothread, Query,
            Replies, Status,
        },
    },
    host::{
        process::{Process, threads::ThreadTime},
        procfs::Proc,
    },
};

/// The maximum age of a reply that can change without a sign.
const BOUND: Duration = Duration::from_secs(1);

/// QEMU reports the balloon at most once a second, and the last change at the end of that second.
const BALLOON_RATE: Duration = Duration::from_millis(1500);

/// Prefixes of events that a guest or a viewer can cause at any rate, and that change nothing
/// cached.
const HARMLESS: [&str; 5] =
    ["RTC_CHANGE", "VSERPORT_CHANGE", "NIC_RX_FILTER_CHANGED", "VNC_", "SPICE_"];

/// The events that may change the NICs.
const OF_DEVICES: [&str; 3] = ["DEVICE_DELETED", "FAILOVER_NEGOTIATED", "UNPLUG_PRIMARY"];

/// What the host showed of a guest before a call queried its monitor.
#[derive(Debug, Clone)]
struct Signs {
    at: Instant,
    /// All threads but the first, by number, with their run times; `None` if unknown.
    threads: Option<Arc<[ThreadTime]>>,
}

/// A call's view of a guest, and where to look closer.
#[derive(Debug)]
pub(crate) struct HostView<'a> {
    pub(crate) proc: &'a Proc,
    pub(super) process: Process,
    signs: Signs,
}

impl<'a> HostView<'a> {
    /// Creates the view of a call; the process has these threads besides the first, by number.
    pub(crate) fn new(
        proc: &'a Proc,
        process: Process,
        threads: Option<Arc<[ThreadTime]>>,
    ) -> Self {
        Self { proc, process, signs: Signs { at: Instant::now(), threads } }
    }

    /// Returns when the call took this view.
    pub(super) fn at(&self) -> Instant {
        self.signs.at
    }
}

impl Signs {
    fn time(&self, tid: u32) -> Option<&ThreadTime> {
        let threads = self.threads.as_ref()?;
        let place = threads.binary_search_by_key(&tid, |thread| thread.tid).ok()?;
        Some(&threads[place])
    }

    /// Returns whether there is no new thread, and none that has run for the first time.
    fn has_no_new_thread(&self, then: &Self) -> bool {
        let (Some(threads), Some(_)) = (&self.threads, &then.threads) else { return false };
        let is_old = |was: &ThreadTime, thread| was.sched.run_ns > 0 || was == thread;
        threads.iter().all(|thread| then.time(thread.tid).is_some_and(|was| is_old(was, thread)))
    }

    /// Returns whether a thread still exists and has not run since.
    fn slept(&self, tid: u32, then: &Self) -> bool {
        self.time(tid).is_some_and(|time| then.time(tid) == Some(time))
    }

    fn is_soon_after(&self, then: &Self) -> bool {
        self.at.saturating_duration_since(then.at) < BOUND
    }
}

/// A cached reply, and what the host showed before the query.
#[derive(Debug)]
struct Cached<T> {
    reply: Arc<T>,
    signs: Signs,
}

/// The disks and their images at one moment.
#[derive(Debug)]
struct Layout {
    nodes: Cached<Vec<BlockNode>>,
    disks: Arc<Vec<BlockStats>>,
    images: Images,
}

/// The cached replies of one session.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    status: Option<Cached<Status>>,
    balloon: Option<Cached<BalloonSize>>,
    guest_stats: Option<Cached<GuestStats>>,
    /// What the host showed when the balloon was not found.
    unplaced_balloon: Option<Signs>,
    iothreads: Option<Cached<Vec<Iothread>>>,
    layout: Option<Layout>,
    /// When an image's file was not found.
    images_unfound: Option<Instant>,
    dirty_rate: Option<Cached<DirtyRate>>,
    /// Whether the NICs were queried, and no event about devices has come since.
    knows_nics: bool,
    /// The last reported status.
    before: Option<String>,
    /// Why the guest runs again, according to an event.
    resumed: Option<&'static str>,
    /// When the balloon last moved, or may have.
    balloon_moved: Instant,
}

impl AnswerCache {
    /// Creates an empty cache.
    pub(super) fn new() -> Self {
        Self {
            status: None,
            balloon: None,
            guest_stats: None,
            unplaced_balloon: None,
            iothreads: None,
            layout: None,
            images_unfound: None,
            dirty_rate: None,
            knows_nics: false,
            before: None,
            resumed: None,
            balloon_moved: Instant::now(),
        }
    }

    /// Forgets what an event may have changed: everything, unless the event is known.
    pub(super) fn note_event(&mut self, name: &str) {
        if name == "BALLOON_CHANGE" {
            self.balloon = None;
            self.balloon_moved = Instant::now();
        } else if !HARMLESS.iter().any(|harmless| name.starts_with(harmless)) {
            let knows_nics = self.knows_nics && !OF_DEVICES.contains(&name);
            let before = self.before.take();
            let resumed = match (name, before.as_deref()) {
                // From other states, this may end a start, a migration or a restore.
                ("RESUME", Some("running" | "paused" | "io-error" | "watchdog")) => {
                    Some("unpaused")
                }
                ("WAKEUP", Some("running" | "suspended")) => Some("wakeup"),
                ("RESUME" | "WAKEUP" | "STOP" | "SUSPEND" | "SUSPEND_DISK", _) => None,
                _ => self.resumed,
            };
            *self = Self { knows_nics, before, resumed, ..Self::new() };
        }
    }

    /// Answers a query from the cache, if nothing can have changed the reply. Returns whether the
    /// query need not be sent: cached block nodes are delivered once the block statistics have
    /// come.
    pub(super) fn answer(&self, query: &Query, replies: &mut Replies, view: &HostView<'_>) -> bool {
        let signs = &view.signs;
        let soon = |then: &Signs| signs.is_soon_after(then);
        match query {
            Query::Status => {
                give(&self.status, &mut replies.status, |told| self.runs() || soon(&told.signs))
            }
            Query::Balloon => give(&self.balloon, &mut replies.balloon, |told| {
                let still = signs.at.saturating_duration_since(self.balloon_moved) > BALLOON_RATE;
                (self.runs() && still) || (self.is_paused() && soon(&told.signs))
            }),
            Query::GuestStats(_) => {
                let may = |told: &Cached<_>| self.is_paused() && soon(&told.signs);
                give(&self.guest_stats, &mut replies.guest_stats, may)
            }
            Query::Iothreads => give(&self.iothreads, &mut replies.iothreads, |told| {
                let slept = |iothread: &Iothread| signs.slept(iothread.thread_id, &told.signs);
                signs.has_no_new_thread(&told.signs) && told.reply.iter().all(slept)
            }),
            Query::BlockNodes => self
                .layout
                .as_ref()
                .is_some_and(|layout| soon(&layout.nodes.signs) && layout.images.are_unchanged()),
            Query::DirtyRate => give(&self.dirty_rate, &mut replies.dirty_rate, |told| {
                signs.has_no_new_thread(&told.signs)
                    && soon(&told.signs)
                    && told.reply.status != "measuring"
            }),
            _ => false,
        }
    }

    /// Returns whether the devices are known to have no balloon.
    pub(crate) fn is_balloon_unplaced(&self, view: &HostView<'_>) -> bool {
        self.unplaced_balloon.as_ref().is_some_and(|then| view.signs.is_soon_after(then))
    }

    /// Records that the balloon was not found.
    pub(crate) fn keep_unplaced_balloon(&mut self, view: &HostView<'_>) {
        self.unplaced_balloon = Some(view.signs.clone());
    }

    /// Returns whether the NICs were queried, and no event about devices has come since.
    pub(crate) fn knows_nics(&self) -> bool {
        self.knows_nics
    }

    /// Records that the NICs were queried.
    pub(crate) fn keep_nics(&mut self) {
        self.knows_nics = true;
    }

    fn runs(&self) -> bool {
        self.is_status(&["running"])
    }

    fn is_paused(&self) -> bool {
        self.is_status(&["paused", "prelaunch"])
    }

    fn is_status(&self, words: &[&str]) -> bool {
        self.status.as_ref().is_some_and(|told| words.contains(&told.reply.status.as_str()))
    }

    /// Caches the reply that a query of this call has just got.
    pub(super) fn keep(&mut self, query: &Query, replies: &mut Replies, view: &HostView<'_>) {
        let signs = &view.signs;
        match query {
            Query::Status => {
                self.explain(&mut replies.status);
                self.status = cached(&replies.status, signs);
            }
            Query::Balloon => self.balloon = cached(&replies.balloon, signs),
            Query::GuestStats(_) => self.guest_stats = cached(&replies.guest_stats, signs),
            Query::Iothreads => self.iothreads = cached(&replies.iothreads, signs),
            Query::DirtyRate => self.dirty_rate = cached(&replies.dirty_rate, signs),
            Query::BlockStats => self.check_layout(replies),
            Query::BlockNodes => {
                let known = self.layout.take().map(|layout| layout.images);
                self.layout = cached(&replies.block_nodes, signs).and_then(|nodes| {
                    let Answer::Got(disks) = &replies.block_stats else { return None };
                    let images = Images::find(view, &nodes.reply, known, &mut self.images_unfound)?;
                    Some(Layout { nodes, disks: Arc::clone(disks), images })
                });
            }
            _ => {}
        }
    }

    /// Adds to a status why the guest runs, if an event said so.
    fn explain(&mut self, status: &mut Answer<Status>) {
        let Answer::Got(status) = status else { return };
        let Some(status) = Arc::get_mut(status) else { return };
        if status.status == "running" {
            status.why_running = self.resumed;
        } else {
            self.resumed = None;
        }
        self.before = Some(status.status.clone());
    }

    /// Delivers the cached block nodes if the disks still have these images, else drops them.
    fn check_layout(&mut self, replies: &mut Replies) {
        let disks = replies.block_stats.got().map_or(&[][..], Vec::as_slice);
        match self.layout.take() {
            Some(layout) if is_same_layout(&layout.disks, disks) => {
                replies.block_nodes = Answer::Got(Arc::clone(&layout.nodes.reply));
                self.layout = Some(layout);
            }
            _ => {}
        }
    }
}

fn cached<T>(answer: &Answer<T>, signs: &Signs) -> Option<Cached<T>> {
    let Answer::Got(reply) = answer else { return None };
    Some(Cached { reply: Arc::clone(reply), signs: signs.clone() })
}

/// Delivers a cached reply if it is still valid.
fn give<T>(
    told: &Option<Cached<T>>,
    answer: &mut Answer<T>,
    may: impl FnOnce(&Cached<T>) -> bool,
) -> bool {
    let Some(told) = told.as_ref().filter(|told| may(told)) else { return false };
    *answer = Answer::Got(Arc::clone(&told.reply));
    true
}

/// Returns whether these are the same disks with the same images.
fn is_same_layout(disks: &[BlockStats], others: &[BlockStats]) -> bool {
    disks.len() == others.len()
        && disks.iter().zip(others).all(|(disk, other)| {
            disk.qdev == other.qdev
                && disk.node_name == other.node_name
                && is_same_image(disk.parent.as_deref(), other.parent.as_deref())
                && is_same_image(disk.backing.as_deref(), other.backing.as_deref())
        })
}

fn is_same_image(image: Option<&BlockStats>, other: Option<&BlockStats>) -> bool {
    is_same_layout(image.map_or(&[], slice::from_ref), other.map_or(&[], slice::from_ref))
}
