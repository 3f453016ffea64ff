//! What a held monitor told and need not be asked again, because nothing can have changed it.
//!
//! QEMU tells of many changes by an event, and every event is read before anything kept is used.
//! Of others the host shows a sign. What has neither is asked in every call, or once in [`BOUND`].
//!
//! | answer | is kept | until |
//! |---|---|---|
//! | `query-status` | if the guest runs | an event |
//! | | else: a paused guest that is migrated away says nothing | an event, 1 s |
//! | `query-balloon` | if the guest runs | an event; QEMU may hold the next one back for a second |
//! | | if it is paused: its memory can be loaded | an event, 1 s |
//! | `guest-stats` | if the guest is paused | an event, 1 s |
//! | no balloon among the devices | always: it is somewhere else | an event, 1 s |
//! | `query-iothreads` | always: to set an iothread wakes it | an event, a new thread, an iothread that ran |
//! | `query-named-block-nodes` | if all images are plain files | an event, other images in `query-blockstats`, a file that changed, 1 s: thresholds give no sign |
//! | the NICs | always | an event of devices, another tap, 60 s |
//! | `query-dirty-rate` | if it does not measure: that takes a thread | an event, a new thread, 1 s |
//!
//! A thread that was woken and has no CPU yet has not run: for so long, and no longer, the old
//! setting of an iothread is given.
//!
//! Everything else is asked in every call. A new connection knows nothing, nor does one that has
//! missed a deadline.

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

/// The greatest age of an answer that could change without a sign.
const BOUND: Duration = Duration::from_secs(1);

/// QEMU tells of the balloon once a second at most, and of the last change at the end of it.
const BALLOON_RATE: Duration = Duration::from_millis(1500);

/// How the events begin that a guest or a viewer can cause at any rate, and that change nothing
/// that is kept.
const HARMLESS: [&str; 5] =
    ["RTC_CHANGE", "VSERPORT_CHANGE", "NIC_RX_FILTER_CHANGED", "VNC_", "SPICE_"];

/// The events that may change what NICs there are.
const OF_DEVICES: [&str; 3] = ["DEVICE_DELETED", "FAILOVER_NEGOTIATED", "UNPLUG_PRIMARY"];

/// What the host showed of a guest before a call asked its monitor.
#[derive(Debug, Clone)]
struct Signs {
    at: Instant,
    /// All threads but the first, by number, and how long they ran; `None` if that is not known.
    threads: Option<Arc<[ThreadTime]>>,
}

/// A guest as a call sees it, and where to look closer.
#[derive(Debug)]
pub(crate) struct HostView<'a> {
    pub(crate) proc: &'a Proc,
    pub(crate) process: Process,
    signs: Signs,
}

impl<'a> HostView<'a> {
    /// Returns what a call sees whose process has these threads but the first, by number.
    pub(crate) fn new(
        proc: &'a Proc,
        process: Process,
        threads: Option<Arc<[ThreadTime]>>,
    ) -> Self {
        Self { proc, process, signs: Signs { at: Instant::now(), threads } }
    }

    /// Returns when the call looked.
    pub(crate) fn at(&self) -> Instant {
        self.signs.at
    }
}

impl Signs {
    fn time(&self, tid: u32) -> Option<&ThreadTime> {
        let threads = self.threads.as_ref()?;
        let place = threads.binary_search_by_key(&tid, |thread| thread.tid).ok()?;
        Some(&threads[place])
    }

    /// Returns whether there is no thread that was not there then, or has run for the first time.
    fn has_no_new_thread(&self, then: &Self) -> bool {
        let (Some(threads), Some(_)) = (&self.threads, &then.threads) else { return false };
        let is_old = |was: &ThreadTime, thread| was.sched.run_ns > 0 || was == thread;
        threads.iter().all(|thread| then.time(thread.tid).is_some_and(|was| is_old(was, thread)))
    }

    /// Returns whether a thread is there and did not run since.
    fn slept(&self, tid: u32, then: &Self) -> bool {
        self.time(tid).is_some_and(|time| then.time(tid) == Some(time))
    }

    fn is_soon_after(&self, then: &Self) -> bool {
        self.at.saturating_duration_since(then.at) < BOUND
    }
}

/// An answer, and what the host showed before it was asked for.
#[derive(Debug)]
struct Cached<T> {
    reply: Arc<T>,
    signs: Signs,
}

/// The disks and their images at one time.
#[derive(Debug)]
struct Layout {
    nodes: Cached<Vec<BlockNode>>,
    disks: Arc<Vec<BlockStats>>,
    images: Images,
}

/// The answers that are kept of one connection.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    status: Option<Cached<Status>>,
    balloon: Option<Cached<BalloonSize>>,
    guest_stats: Option<Cached<GuestStats>>,
    /// What the host showed when the balloon was looked for in vain.
    unplaced_balloon: Option<Signs>,
    iothreads: Option<Cached<Vec<Iothread>>>,
    layout: Option<Layout>,
    /// When the file of an image was looked for in vain.
    images_unfound: Option<Instant>,
    dirty_rate: Option<Cached<DirtyRate>>,
    /// Whether the NICs were asked for, and no event of devices came since.
    knows_nics: bool,
    /// The last status that was told.
    before: Option<String>,
    /// Why the guest runs again, by an event.
    resumed: Option<&'static str>,
    /// When the balloon last moved, or may have.
    balloon_moved: Instant,
}

impl AnswerCache {
    /// Knows nothing.
    pub(crate) fn new() -> Self {
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

    /// Forgets what an event may have changed: everything, unless it is known better.
    pub(crate) fn note_event(&mut self, name: &str) {
        if name == "BALLOON_CHANGE" {
            self.balloon = None;
            self.balloon_moved = Instant::now();
        } else if !HARMLESS.iter().any(|harmless| name.starts_with(harmless)) {
            let knows_nics = self.knows_nics && !OF_DEVICES.contains(&name);
            let before = self.before.take();
            let resumed = match (name, before.as_deref()) {
                // From other states it may be the end of a start, a migration or a restore.
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

    /// Answers a question, if nothing can have changed the answer. Returns whether it need not be
    /// asked: the block nodes are answered when the block statistics have come.
    pub(crate) fn answer(&self, query: &Query, replies: &mut Replies, view: &HostView<'_>) -> bool {
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

    /// Returns whether it would be in vain to look for the balloon among the devices.
    pub(crate) fn is_balloon_unplaced(&self, view: &HostView<'_>) -> bool {
        self.unplaced_balloon.as_ref().is_some_and(|then| view.signs.is_soon_after(then))
    }

    /// Keeps that the balloon was looked for in vain.
    pub(crate) fn keep_unplaced_balloon(&mut self, view: &HostView<'_>) {
        self.unplaced_balloon = Some(view.signs.clone());
    }

    /// Returns whether the NICs were asked for, and no event of devices came since.
    pub(crate) fn knows_nics(&self) -> bool {
        self.knows_nics
    }

    /// Keeps that the NICs were asked for.
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

    /// Keeps what a monitor has just answered to a question of this call.
    pub(crate) fn keep(&mut self, query: &Query, replies: &mut Replies, view: &HostView<'_>) {
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

    /// Adds to a status why the guest runs, if an event told.
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

    /// Gives the block nodes, if the disks still have these; else they are forgotten.
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

/// Gives an answer that is kept, if it may be.
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
