//! The network devices of the caller's own network namespace, over netlink: all counters in one
//! dump, and a notification for each device that appears, goes or changes.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::sync::lock;

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{
    netlink::{self, PART, Questions},
    procfs::{NetCounters, NetDevice, NetDevices},
    rtnetlink::{self, GROUP_LINK, Message},
};

/// The longest time between opening or creating a tap and its descriptor reaching the QEMU that
/// will use it.
const HANDOVER: Duration = Duration::from_secs(5);

/// The devices; the state outlives a call.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// `None` before the first use, and after an error.
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    /// The network namespace of the sockets: that of the thread that opened them.
    namespace: Option<u64>,
    /// Receives the kernel's notifications.
    news: OwnedFd,
    /// Sends requests.
    questions: Questions,
    /// Device names by index.
    names: HashMap<u32, String>,
    /// The moment since which no tap is known to have changed.
    taps_trusted_from: Instant,
    buffer: Vec<u8>,
}

impl Links {
    /// Reads pending notifications, and returns the moment since which a list of a process's taps
    /// can be trusted; `None` if the kernel does not answer.
    pub(crate) fn taps_trusted_from(&self) -> Option<Instant> {
        self.with(|state| {
            state.listen()?;
            Ok(state.taps_trusted_from)
        })
    }

    /// Returns the network namespace of these devices, if the caller may know it.
    pub(crate) fn namespace(&self) -> Option<u64> {
        self.with(|state| Ok(state.namespace))?
    }

    /// Returns the name of a device.
    pub(crate) fn name_of(&self, index: u32) -> Option<String> {
        self.with(|state| match state.names.get(&index) {
            Some(name) => Ok(Some(name.clone())),
            None => {
                state.read_names()?;
                Ok(state.names.get(&index).cloned())
            }
        })?
    }

    /// Returns all devices with their counters; `None` if the kernel does not answer.
    pub(crate) fn devices(&self) -> Option<NetDevices> {
        self.with(State::devices)
    }

    /// Runs `work` on the sockets, and closes them if it fails.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> Option<T> {
        let mut state = self.state();
        if state.is_none() {
            *state = State::open().ok();
        }
        let result = work(state.as_mut()?);
        if result.is_err() {
            *state = None;
        }
        result.ok()
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }
}

impl State {
    fn open() -> io::Result<Self> {
        Ok(Self {
            namespace: netlink::own_namespace(),
            news: netlink::socket(None, GROUP_LINK)?,
            questions: Questions::open(None)?,
            names: HashMap::new(),
            taps_trusted_from: Instant::now(),
            buffer: vec![0; PART],
        })
    }

    fn listen(&mut self) -> io::Result<()> {
        loop {
            let length = match recv(&self.news, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                // More notifications came than the socket could hold.
                Err(Errno::NOBUFS) => {
                    self.names.clear();
                    self.taps_trusted_from = Instant::now() + HANDOVER;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for (_, message) in rtnetlink::messages(&self.buffer[..length]) {
                let link = match message {
                    Message::Link(link) => {
                        let name = String::from_utf8_lossy(link.name).into_owned();
                        self.names.insert(link.index, name);
                        link
                    }
                    Message::LinkGone(link) => {
                        self.names.remove(&link.index);
                        link
                    }
                    _ => continue,
                };
                if link.is_tap {
                    self.taps_trusted_from = Instant::now() + HANDOVER;
                }
            }
        }
    }

    fn devices(&mut self) -> io::Result<NetDevices> {
        self.listen()?;
        let mut counters = Vec::with_capacity(self.names.len());
        self.questions.ask(&mut self.buffer, rtnetlink::counters, |kind, body| {
            if let Some(Message::Counters { index, received, transmitted }) =
                rtnetlink::message(kind, body)
            {
                let [received, transmitted] = [received, transmitted].map(net_counters);
                counters.push((index, NetDevice { received, transmitted }));
            }
        })?;
        if counters.iter().any(|(index, _)| !self.names.contains_key(index)) {
            self.read_names()?;
        }
        let named = |(index, device)| Some((self.names.get(&index)?.clone(), device));
        Ok(counters.into_iter().filter_map(named).collect())
    }

    fn read_names(&mut self) -> io::Result<()> {
        let mut names = HashMap::new();
        self.questions.ask(&mut self.buffer, rtnetlink::links, |kind, body| {
            if let Some(Message::Link(link)) = rtnetlink::message(kind, body) {
                names.insert(link.index, String::from_utf8_lossy(link.name).into_owned());
            }
        })?;
        self.names = names;
        Ok(())
    }
}

fn net_counters([bytes, packets, errors, drops]: [u64; 4]) -> NetCounters {
    NetCounters { bytes, packets, errors, drops }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::procfs::Proc;

    #[test]
    fn netlink_and_proc_list_the_same_devices() {
        let links = Links::default();
        // Counters change between the two readings.
        let same = (0..20).any(|_| {
            let before = Proc::new("/proc").net_devices(std::process::id()).unwrap();
            let devices = links.devices().unwrap();
            assert!(devices.contains_key("lo"), "{devices:?}");
            devices == before
        });
        assert!(same);
        assert_eq!(links.name_of(1).as_deref(), Some("lo"));
    }
}
