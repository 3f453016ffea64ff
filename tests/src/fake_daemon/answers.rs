//! The replies of a daemon with some running domains.

use super::procedure;
use crate::wire::{Bytes, Packet, REMOTE, Reader, Value, length};

/// A domain of the fake daemon.
#[derive(Debug)]
struct Domain {
    name: String,
    uuid: [u8; 16],
    id: u32,
}

impl Domain {
    fn write(&self, bytes: Bytes) -> Bytes {
        bytes.string(&self.name).raw(&self.uuid).u32(self.id)
    }
}

/// An error reply: code, libvirt's number for its origin, text.
pub(super) type Refusal = (u32, u32, String);

/// libvirt's numbers for its remote protocol and its QEMU driver.
pub(super) const RPC: u32 = 7;
const QEMU: u32 = 10;

/// All domains.
#[derive(Debug)]
pub(super) struct Host(Vec<Domain>);

/// Groups of the stats call.
const STATE: u32 = 1;
const CPU: u32 = 2;
const BALLOON: u32 = 4;
const VCPU: u32 = 8;
const INTERFACE: u32 = 16;
const BLOCK: u32 = 32;

/// Filters of the list call and the stats call.
const ACTIVE: u32 = 1;
const INACTIVE: u32 = 2;

impl Host {
    pub(super) fn new(count: u32) -> Self {
        let domain = |id: u32| {
            let mut uuid = [0xFA; 16];
            uuid[12..].copy_from_slice(&id.to_be_bytes());
            Domain { name: format!("fake-{id:05}"), uuid, id }
        };
        Self((1..=count).map(domain).collect())
    }

    /// Answers a call other than that for statistics.
    pub(super) fn answer(&self, number: u32, payload: &[u8]) -> Result<Bytes, Refusal> {
        let undecodable = || (39, RPC, "Unable to decode message payload".to_owned());
        let mut arguments = Reader(payload);
        let bytes = Bytes::default();
        Ok(match number {
            // A single way to authenticate: none.
            procedure::AUTH_LIST => bytes.u32(1).u32(0),
            procedure::OPEN | procedure::CLOSE => bytes,
            procedure::SUPPORTS_FEATURE => bytes.u32(0),
            procedure::TYPE => bytes.string("QEMU"),
            procedure::VERSION => bytes.u64(7_002_022),
            procedure::LIB_VERSION => bytes.u64(9_000_000),
            procedure::HOSTNAME => bytes.string("fake.example.org"),
            procedure::URI => bytes.string("qemu:///system"),
            procedure::LIST => {
                arguments.u32().ok_or_else(undecodable)?;
                let flags = arguments.u32().ok_or_else(undecodable)?;
                // All of them run.
                let listed = if flags & (ACTIVE | INACTIVE) == INACTIVE { &[] } else { &*self.0 };
                let count = length(listed.len());
                let bytes = bytes.u32(count);
                listed.iter().fold(bytes, |bytes, domain| domain.write(bytes)).u32(count)
            }
            procedure::LOOKUP_BY_ID => {
                let id = arguments.u32().ok_or_else(undecodable)?;
                self.find(|domain| domain.id == id)?.write(bytes)
            }
            procedure::LOOKUP_BY_NAME => {
                let name = arguments.string().ok_or_else(undecodable)?;
                self.find(|domain| domain.name == name)?.write(bytes)
            }
            procedure::LOOKUP_BY_UUID => {
                let uuid = arguments.raw(16).ok_or_else(undecodable)?;
                self.find(|domain| domain.uuid == uuid)?.write(bytes)
            }
            // Running, since it booted.
            procedure::STATE => bytes.u32(1).u32(1),
            _ => return Err((39, RPC, format!("unknown procedure: {number}"))),
        })
    }

    fn find(&self, is_it: impl Fn(&Domain) -> bool) -> Result<&Domain, Refusal> {
        let found = self.0.iter().find(|domain| is_it(domain));
        let text = "Domain not found: no domain with matching words";
        found.ok_or_else(|| (42, QEMU, text.to_owned()))
    }

    /// Returns the event that its first domain was resumed.
    pub(super) fn event(&self) -> Packet {
        const LIFECYCLE: u32 = 318;
        const MESSAGE: u32 = 2;
        let callback = Bytes::default().u32(0);
        let payload = self.0[0].write(callback).u32(4).u32(0).0;
        let (program, version, procedure) = (REMOTE, 1, LIFECYCLE);
        Packet { program, version, procedure, kind: MESSAGE, serial: 1, status: 0, payload }
    }

    /// Parses the arguments of the stats call: domains, and groups.
    fn asked(&self, payload: &[u8]) -> Option<(Vec<&Domain>, u32)> {
        let mut arguments = Reader(payload);
        let mut domains = Vec::new();
        for _ in 0..arguments.u32()? {
            arguments.string()?;
            let uuid = arguments.raw(16)?;
            arguments.u32()?;
            // A domain that does not exist is left out.
            let id = u32::from_be_bytes(uuid[12..].try_into().ok()?) as usize;
            let known = id.checked_sub(1).and_then(|index| self.0.get(index));
            domains.extend(known.filter(|domain| domain.uuid == uuid));
        }
        if payload.starts_with(&[0; 4]) {
            domains = self.0.iter().collect();
        }
        Some((domains, arguments.u32()?))
    }

    /// Answers the stats call. Each domain has its number as CPU time in seconds. `extra` is added
    /// to each record, with the number of its parameters.
    pub(super) fn stats(&self, payload: &[u8], extra: &(u32, Bytes)) -> Result<Answer, Refusal> {
        let undecodable = || (39, RPC, "Unable to decode message payload".to_owned());
        let (domains, groups) = self.asked(payload).ok_or_else(undecodable)?;
        let wants = |group| groups == 0 || groups & group != 0;
        let count = length(domains.len());
        let mut bytes = Bytes::default().u32(count);
        for domain in domains {
            let params = PARAMS.iter().filter(|(group, ..)| wants(*group));
            let cpu = u32::from(wants(CPU));
            bytes = domain.write(bytes).u32(length(params.clone().count()) + cpu + extra.0);
            for (_, field, value) in params {
                bytes = bytes.param(field, *value);
            }
            if wants(CPU) {
                let time = Value::ULLong(u64::from(domain.id) * 1_000_000_000);
                bytes = bytes.param("cpu.time", time);
            }
            bytes = bytes.raw(&extra.1.0);
        }
        Ok(Answer { records: count, bytes })
    }
}

/// A reply to the stats call.
pub(super) struct Answer {
    pub(super) records: u32,
    pub(super) bytes: Bytes,
}

/// The parameters that are the same for all domains.
const PARAMS: &[(u32, &str, Value<'_>)] = &[
    (STATE, "state.state", Value::Int(1)),
    (STATE, "state.reason", Value::Int(1)),
    (BALLOON, "balloon.current", Value::ULLong(16384)),
    (BALLOON, "balloon.maximum", Value::ULLong(16384)),
    (VCPU, "vcpu.current", Value::UInt(1)),
    (VCPU, "vcpu.maximum", Value::UInt(2)),
    (VCPU, "vcpu.0.state", Value::Int(1)),
    (VCPU, "vcpu.0.time", Value::ULLong(5_000_000)),
    (INTERFACE, "net.count", Value::UInt(1)),
    (INTERFACE, "net.0.name", Value::String("tap0")),
    (INTERFACE, "net.0.rx.bytes", Value::ULLong(180)),
    (INTERFACE, "net.0.tx.bytes", Value::ULLong(0)),
    (BLOCK, "block.count", Value::UInt(1)),
    (BLOCK, "block.0.name", Value::String("vda")),
    (BLOCK, "block.0.path", Value::String("/srv/disk.img")),
    (BLOCK, "block.0.rd.reqs", Value::ULLong(7)),
    (BLOCK, "block.0.rd.bytes", Value::ULLong(3584)),
    (BLOCK, "block.0.allocation", Value::ULLong(4096)),
];

/// What a newer libvirt may send: new fields in known groups, and a new group, with every type.
pub(super) fn newer() -> (u32, Bytes) {
    let params = [
        ("state.mood", Value::Int(-3)),
        ("cpu.sockets", Value::UInt(4_000_000_000)),
        ("balloon.drift", Value::LLong(-5_000_000_000)),
        ("vcpu.0.steal.sum", Value::ULLong(u64::MAX)),
        ("block.0.latency", Value::Double(0.25)),
        ("net.0.offloaded", Value::Boolean(true)),
        ("gpu.count", Value::UInt(1)),
        ("gpu.0.name", Value::String("pci-0000:01:00.0 «ü»")),
    ];
    let count = length(params.len());
    let bytes = params.iter().fold(Bytes::default(), |b, (field, value)| b.param(field, *value));
    (count, bytes)
}
