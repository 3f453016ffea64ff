//! The queries that replies make necessary: where the balloon is, which descriptors images were
//! passed by, what jobs copy, and what the NICs are.

use crate::driver::qemu::{
    monitor::{
        copies::may_copy,
        image_files::is_of_fd_set,
        nics,
        query::{Answer, BlockNode, ObjectPath, Query, Replies},
    },
    pass::Conversation,
};

/// Where to look for a balloon: among the devices with an id, then among those without.
const FOLDERS: [&str; 2] = ["/machine/peripheral", "/machine/peripheral-anon"];

/// The search for the balloon's path.
#[derive(Debug)]
pub(super) struct Search {
    /// Whether the guest's memory statistics are requested at all.
    wants: bool,
    /// Whether a path was known, possibly an outdated one.
    knew: bool,
    /// The folders not searched yet.
    left: &'static [&'static str],
    /// The folder whose devices were requested.
    asked: Option<&'static str>,
}

impl Search {
    /// Takes the query for the balloon's path out of the queries: it is only worth sending if there
    /// is a balloon.
    pub(super) fn of(queries: &mut Vec<Query>) -> Self {
        let wants = queries.contains(&Query::Balloon);
        let before = queries.len();
        queries.retain(|query| !(wants && matches!(query, Query::Devices(_))));
        let left: &[_] = if queries.len() < before { &FOLDERS } else { &[] };
        let knew = queries.iter().any(|query| matches!(query, Query::GuestStats(_)));
        Self { wants: knew || !left.is_empty(), knew, left, asked: None }
    }

    /// Restarts the search on another session.
    pub(super) fn restart(&mut self) {
        self.asked = None;
        self.left = if self.wants && !self.knew { &FOLDERS } else { &[] };
    }
}

impl Conversation<'_> {
    /// Returns the queries that a reply made necessary.
    pub(super) fn follow_up(&mut self) -> Vec<Query> {
        match self.new_nodes().or_else(|| self.fd_sets()).or_else(|| self.place_of_balloon()) {
            Some(query) => vec![query],
            None if self.lacks_copies() => vec![Query::BlockGraph, Query::NodeStats],
            None => self.next_of_nics(),
        }
    }

    /// Returns whether the images that jobs copy to are wanted, and were not queried.
    fn lacks_copies(&self) -> bool {
        let is_open = matches!(self.replies.block_graph, Answer::NotAsked);
        self.wants_copies
            && is_open
            && self.replies.block_nodes.got().is_some_and(|nodes| may_copy(nodes))
    }

    /// Continues the search for the NICs.
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
            // Set before the queries: an event may come meanwhile.
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

    /// Queries the block nodes after all, if the cached ones belong to other disks.
    fn new_nodes(&self) -> Option<Query> {
        let is_open = matches!(self.replies.block_nodes, Answer::NotAsked);
        (is_open && self.queries.contains(&Query::BlockNodes)).then_some(Query::BlockNodes)
    }

    /// Queries the descriptors that images were passed by, if there are any.
    fn fd_sets(&self) -> Option<Query> {
        let is_handed = |node: &BlockNode| node.image.filename.as_deref().is_some_and(is_of_fd_set);
        let is_open = matches!(self.replies.fd_sets, Answer::NotAsked);
        let nodes = self.replies.block_nodes.got()?;
        (is_open && nodes.iter().any(is_handed)).then_some(Query::FdSets)
    }

    /// Queries where the balloon is, if there is one and its path is unknown or outdated: it may
    /// have been plugged in since.
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

    /// Returns whether a recent call did not find the balloon.
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

/// Returns the balloon's path, if a folder's devices contain it.
fn find_balloon(replies: &Replies, folder: &str) -> Option<ObjectPath> {
    let devices = replies.devices.got()?;
    let balloon = devices.iter().find(|device| device.kind.starts_with("child<virtio-balloon"))?;
    Some(format!("{folder}/{}", balloon.name))
}
