//! The questions that answers raise: where the balloon is, which descriptors images were handed
//! over by, what jobs copy, and what the NICs are.

use crate::driver::qemu::{
    monitor::{
        copies::may_copy,
        image_files::is_of_fd_set,
        nics,
        query::{Answer, BlockNode, ObjectPath, Query, Replies},
    },
    pass::Conversation,
};

/// Where a balloon is looked for: among the devices with an id, then among those without.
const FOLDERS: [&str; 2] = ["/machine/peripheral", "/machine/peripheral-anon"];

/// The search for the balloon's place.
#[derive(Debug)]
pub(super) struct Search {
    /// Whether the guest's statistics are asked for at all.
    wants: bool,
    /// Whether a place was known, which may be an old one.
    knew: bool,
    /// The folders that were not looked at.
    left: &'static [&'static str],
    /// The folder whose devices were asked for.
    asked: Option<&'static str>,
}

impl Search {
    /// Takes the question for the balloon's place out of the questions: it is only worth asking
    /// when there is a balloon.
    pub(super) fn of(queries: &mut Vec<Query>) -> Self {
        let wants = queries.contains(&Query::Balloon);
        let before = queries.len();
        queries.retain(|query| !(wants && matches!(query, Query::Devices(_))));
        let left: &[_] = if queries.len() < before { &FOLDERS } else { &[] };
        let knew = queries.iter().any(|query| matches!(query, Query::GuestStats(_)));
        Self { wants: knew || !left.is_empty(), knew, left, asked: None }
    }

    /// Begins again on another connection.
    pub(super) fn restart(&mut self) {
        self.asked = None;
        self.left = if self.wants && !self.knew { &FOLDERS } else { &[] };
    }
}

impl Conversation<'_> {
    /// Returns the questions that an answer raised.
    pub(super) fn follow_up(&mut self) -> Vec<Query> {
        match self.new_nodes().or_else(|| self.fd_sets()).or_else(|| self.place_of_balloon()) {
            Some(query) => vec![query],
            None if self.lacks_copies() => vec![Query::BlockGraph, Query::NodeStats],
            None => self.next_of_nics(),
        }
    }

    /// Returns whether the images that jobs copy to are wanted, and were not asked for.
    fn lacks_copies(&self) -> bool {
        let is_open = matches!(self.replies.block_graph, Answer::NotAsked);
        self.wants_copies
            && is_open
            && self.replies.block_nodes.got().is_some_and(|nodes| may_copy(nodes))
    }

    /// Goes on with the search for the NICs.
    fn next_of_nics(&mut self) -> Vec<Query> {
        let guest = self.guest;
        let Some(monitor) = self.lease.as_mut().and_then(|lease| lease.session.as_mut()) else {
            return Vec::new();
        };
        if self.watches_nics && self.nic_search.is_none() && !monitor.cache().knows_nics() {
            self.nic_search = Some(nics::Search::new(&guest.line, false));
        }
        self.watches_nics = false;
        let Some(mut search) = self.nic_search.take() else { return Vec::new() };
        if search.is_new() {
            // Before they are asked for: an event may come meanwhile.
            monitor.cache_mut().keep_nics();
        }
        match search.go_on(&mut self.replies) {
            Ok(queries) if queries.is_empty() => {
                self.nics = Some(Ok(search.end(&guest.line)));
                Vec::new()
            }
            Ok(queries) => {
                self.nic_search = Some(search);
                queries
            }
            Err(missing) => {
                self.nics = Some(Err(missing));
                Vec::new()
            }
        }
    }

    /// Asks for the block nodes after all, if those that were kept belong to other disks.
    fn new_nodes(&self) -> Option<Query> {
        let is_open = matches!(self.replies.block_nodes, Answer::NotAsked);
        (is_open && self.queries.contains(&Query::BlockNodes)).then_some(Query::BlockNodes)
    }

    /// Asks which descriptors images were handed over by, if some were.
    fn fd_sets(&self) -> Option<Query> {
        let is_handed = |node: &BlockNode| node.image.filename.as_deref().is_some_and(is_of_fd_set);
        let is_open = matches!(self.replies.fd_sets, Answer::NotAsked);
        let nodes = self.replies.block_nodes.got()?;
        (is_open && nodes.iter().any(is_handed)).then_some(Query::FdSets)
    }

    /// Asks where the balloon is, if there is one and its place is not known or no longer right: it
    /// may have been plugged in since.
    fn place_of_balloon(&mut self) -> Option<Query> {
        self.replies.balloon.got()?;
        if let Some(folder) = self.search.asked.take() {
            if let Some(path) = find_balloon(&self.replies, folder) {
                self.search.left = &[];
                self.guest.learn_balloon(Some(path.clone()));
                return Some(Query::GuestStats(path));
            }
            if self.search.left.is_empty() {
                self.keep_unplaced_balloon();
            }
        } else if self.replies.guest_stats.missing().is_some() && self.search.knew {
            self.search = Search { wants: true, knew: false, left: &FOLDERS, asked: None };
            self.replies.guest_stats = Answer::NotAsked;
            self.guest.learn_balloon(None);
        } else if self.is_balloon_unplaced() {
            self.search.left = &[];
        }
        let (folder, left) = self.search.left.split_first()?;
        self.search.left = left;
        self.search.asked = Some(folder);
        Some(Query::Devices((*folder).to_owned()))
    }

    /// Returns whether a call has just looked for the balloon in vain.
    fn is_balloon_unplaced(&self) -> bool {
        let (Some(lease), Some(view)) = (&self.lease, &self.view) else { return false };
        lease.session.as_ref().is_some_and(|monitor| monitor.cache().is_balloon_unplaced(view))
    }

    fn keep_unplaced_balloon(&mut self) {
        let (Some(lease), Some(view)) = (&mut self.lease, &self.view) else { return };
        if let Some(monitor) = &mut lease.session {
            monitor.cache_mut().keep_unplaced_balloon(view);
        }
    }
}

/// Returns the path of the balloon, if it is among the devices of a folder.
fn find_balloon(replies: &Replies, folder: &str) -> Option<ObjectPath> {
    let devices = replies.devices.got()?;
    let balloon = devices.iter().find(|device| device.kind.starts_with("child<virtio-balloon"))?;
    Some(format!("{folder}/{}", balloon.name))
}
