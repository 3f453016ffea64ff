//! `/proc/PID/net/unix`: the sockets that serve one client while another one waits.

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
    namespaces: HashMap<Result<u64, Process>, HashSet<String>>,
}

impl<'a> Queues<'a> {
    pub(crate) fn new(proc: &'a Proc) -> Self {
        Self { proc, namespaces: HashMap::new() }
    }

    /// Returns whether a process that listens on the Unix socket at this path serves a client
    /// while another one waits in the queue: asked by one who waits for the first word, it tells
    /// whether somebody else has the listener. The listener's side of a connection bears its path.
    pub(crate) fn keeps_waiting(&mut self, process: Process, socket: &Path) -> bool {
        let list = || fs::read_to_string(self.proc.of(process.pid, "net/unix")).unwrap_or_default();
        self.namespaces
            .entry(Folder::new(self.proc, process).net_namespace().ok_or(process))
            .or_insert_with(|| with_queue(&list()))
            .contains(&*socket.to_string_lossy())
    }
}

/// Looks for accepted connections. One that waits to be accepted has no inode yet; the listener
/// itself has state 01.
pub(super) fn with_queue(text: &str) -> HashSet<String> {
    let (mut served, mut waiting) = (HashSet::new(), HashSet::new());
    for (references, state, path) in text.lines().filter_map(socket) {
        match state {
            // The client's end holds a reference, until it is closed.
            "03" if references != "00000002" => _ = served.insert(path),
            "02" => _ = waiting.insert(path),
            _ => {}
        }
    }
    served.intersection(&waiting).map(|path| (*path).to_owned()).collect()
}

/// Returns the references, the state and the path of a socket that has one.
fn socket(line: &str) -> Option<(&str, &str, &str)> {
    // Num RefCount Protocol Flags Type St Inode Path; the inode is padded, a path may have spaces.
    let mut rest = line;
    let mut field = || {
        let (field, behind) = rest.trim_start_matches(' ').split_once(' ')?;
        rest = behind;
        Some(field)
    };
    let fields = [field()?, field()?, field()?, field()?, field()?, field()?, field()?];
    Some((fields[1], fields[5], rest))
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
