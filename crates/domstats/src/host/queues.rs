//! `/proc/PID/net/unix`: which Unix sockets listen, serve a client, and let another one wait.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use super::{
    process::{Folder, Process},
    procfs::Proc,
};

/// The queues of a host's Unix sockets at one moment: the list of a network namespace is long, and
/// read once.
#[derive(Debug)]
pub(crate) struct Queues<'a> {
    proc: &'a Proc,
    /// The sockets with a queue, by namespace; by process, if its namespace may not be known.
    namespaces: HashMap<Option<Result<u64, Process>>, Lists>,
}

/// The sockets of a network namespace, by path.
#[derive(Debug, Default)]
struct Lists {
    serving: HashSet<String>,
    waiting: HashSet<String>,
}

impl<'a> Queues<'a> {
    pub(crate) fn new(proc: &'a Proc) -> Self {
        Self { proc, namespaces: HashMap::new() }
    }

    /// Returns whether a process that listens on the Unix socket at this path serves a client
    /// while another one waits in the queue: asked by one who waits for the first word, it tells
    /// whether somebody else has the listener. The listener's side of a connection bears its path.
    pub(crate) fn keeps_waiting(&mut self, process: Process, socket: &Path) -> bool {
        let path = &*socket.to_string_lossy();
        let lists = self.lists(Some(process));
        lists.serving.contains(path) && lists.waiting.contains(path)
    }

    /// Returns whether a connection to the socket at this path waits to be accepted. It stays in the
    /// queue when its client is gone. An unknown process is in the caller's namespace.
    pub(crate) fn is_awaited(&mut self, process: Option<Process>, socket: &Path) -> bool {
        self.lists(process).waiting.contains(&*socket.to_string_lossy())
    }

    fn lists(&mut self, process: Option<Process>) -> &Lists {
        let pid = process.map_or_else(std::process::id, |process| process.pid);
        let proc = self.proc;
        let list = || fs::read(proc.of(pid, "net/unix")).unwrap_or_default();
        let namespace = process.map(|it| Folder::new(proc, it).net_namespace().ok_or(it));
        self.namespaces
            .entry(namespace)
            .or_insert_with(|| Lists::new(&String::from_utf8_lossy(&list())))
    }
}

/// The listening Unix sockets of a network namespace: inodes and paths, which may be relative.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<(String, String)>);

impl Listeners {
    pub(crate) fn read(proc: &Proc) -> Self {
        Self::of(proc, std::process::id())
    }

    /// Returns those of a process's network namespace.
    pub(crate) fn of(proc: &Proc, pid: u32) -> Self {
        let text = fs::read(proc.of(pid, "net/unix")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let sockets = text.lines().filter_map(fields).filter(|(fields, _)| fields[5] == "01");
        Self(sockets.map(|(fields, path)| (fields[6].to_owned(), path.to_owned())).collect())
    }

    /// Returns the inodes of those that listen at a path, or at a relative one that it ends with.
    pub(crate) fn at(&self, path: &Path) -> impl Iterator<Item = &str> {
        let is_here = move |bound: &str| {
            bound == path.to_string_lossy()
                || (!bound.starts_with(['/', '@']) && path.ends_with(bound))
        };
        self.0.iter().filter(move |(_, bound)| is_here(bound)).map(|(inode, _)| inode.as_str())
    }
}

impl Lists {
    /// Looks for accepted connections. One that waits to be accepted has no inode yet; the listener
    /// itself has state 01.
    fn new(text: &str) -> Self {
        let mut lists = Self::default();
        for (fields, path) in text.lines().filter_map(fields) {
            match fields[5] {
                // The client's end holds a reference, until it is closed.
                "03" if fields[1] != "00000002" => _ = lists.serving.insert(path.to_owned()),
                "02" => _ = lists.waiting.insert(path.to_owned()),
                _ => {}
            }
        }
        lists
    }
}

/// Returns the sockets that serve a client while another one waits.
pub(super) fn with_queue(text: &str) -> HashSet<String> {
    let lists = Lists::new(text);
    lists.serving.intersection(&lists.waiting).cloned().collect()
}

/// Returns the fields and the path of a socket that has one.
fn fields(line: &str) -> Option<([&str; 7], &str)> {
    // Num RefCount Protocol Flags Type St Inode Path; the inode is padded, a path may have spaces.
    let mut rest = line;
    let mut field = || {
        let (field, behind) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = behind;
        Some(field)
    };
    let fields = [field()?, field()?, field()?, field()?, field()?, field()?, field()?];
    Some((fields, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_a_socket() {
        let listening = "0000: 00000002 00000000 00010000 0001 01 12801 /run/q 1.qmp\n";
        let waiting = "0000: 00000003 00000000 00000000 0001 02     0 /run/q 1.qmp\n";
        let served = "0000: 00000003 00000000 00000000 0001 03 12956 /run/q 1.qmp\n";
        let left = "0000: 00000002 00000000 00000000 0001 03 12956 /run/q 1.qmp\n";
        let other = "0000: 00000003 00000000 00000000 0001 03 12957 /x/run/q 1.qmp\n";
        let nameless = "0000: 00000003 00000000 00000000 0001 03 12958\n";
        let has = |lines: &[&str]| with_queue(&lines.concat()).contains("/run/q 1.qmp");
        assert!(has(&[listening, other, nameless, served, waiting]));
        assert!(!has(&[listening, waiting]), "nobody is served: it is stuck");
        assert!(!has(&[listening, served]), "nobody waits: it is we who are served");
        assert!(!has(&[listening, left, waiting]), "the client has left");
        assert!(!has(&[listening, other, waiting]));
    }
}
