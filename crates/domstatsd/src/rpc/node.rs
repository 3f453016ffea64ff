//! The host that the daemon runs on.

use std::{borrow::Cow, collections::BTreeSet, fs, path::Path};

use domstats_rpc::{
    message::{CpuMap, CpuMapArgs, ListPoolsArgs, ListedPools, Model, NodeInfo, Opaque},
    xdr::List,
};

use super::{
    connect::Client,
    refuse::{self, Refusal},
};

const CPUS: &str = "/sys/devices/system/cpu";

pub(super) async fn hostname(_: &Client, (): ()) -> Result<Cow<'static, str>, Refusal> {
    Ok(rustix::system::uname().nodename().to_string_lossy().into_owned().into())
}

pub(super) async fn info(_: &Client, (): ()) -> Result<NodeInfo, Refusal> {
    let cpus = online()?;
    let topology = Topology::read(&cpus);
    Ok(NodeInfo {
        model: Model::new(&rustix::system::uname().machine().to_string_lossy()),
        memory: meminfo("MemTotal:")?,
        cpus: number(cpus.len()),
        mhz: mhz(),
        nodes: number(topology.nodes),
        sockets: number(topology.sockets),
        cores: number(topology.cores),
        threads: number(topology.threads),
    })
}

pub(super) async fn free_memory(_: &Client, (): ()) -> Result<u64, Refusal> {
    Ok(meminfo("MemFree:")? * 1024)
}

pub(super) async fn cpu_map(_: &Client, args: CpuMapArgs) -> Result<CpuMap, Refusal> {
    let online = online()?;
    let all = list(&format!("{CPUS}/present"))?.len();
    let mut map = vec![0_u8; all.div_ceil(8)];
    for cpu in &online {
        if let Some(byte) = map.get_mut(cpu / 8) {
            *byte |= 1 << (cpu % 8);
        }
    }
    Ok(CpuMap {
        map: Opaque(if args.need_map { map } else { Vec::new() }),
        online: if args.need_online { online.len() as u32 } else { 0 },
        cpus: number(all),
    })
}

/// Storage is not looked at: there is no pool here. Exporters ask, and give up for an error.
pub(super) async fn storage_pools(
    _: &Client,
    _: ListPoolsArgs,
) -> Result<ListedPools<'static>, Refusal> {
    Ok(ListedPools { pools: List(Vec::new()), count: 0 })
}

/// How the processors are made up: the product is their number, as clients assume.
struct Topology {
    nodes: usize,
    sockets: usize,
    cores: usize,
    threads: usize,
}

impl Topology {
    fn read(cpus: &BTreeSet<usize>) -> Self {
        // Where it does not come out even, libvirt too says one socket of so many cores.
        let flat = Self { nodes: 1, sockets: 1, cores: cpus.len(), threads: 1 };
        let of = |cpu: &usize, file: &str| {
            let path = format!("{CPUS}/cpu{cpu}/topology/{file}");
            fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
        };
        let ids = |cpu: &usize| Some((of(cpu, "physical_package_id")?, of(cpu, "core_id")?));
        let Some(ids) = cpus.iter().map(ids).collect::<Option<Vec<_>>>() else { return flat };
        let packages: BTreeSet<_> = ids.iter().map(|(package, _)| package).collect();
        let cores: BTreeSet<_> = ids.iter().collect();
        let nodes = list("/sys/devices/system/node/has_cpu").map_or(1, |nodes| nodes.len().max(1));
        let real = Self {
            nodes,
            sockets: packages.len() / nodes,
            cores: cores.len() / packages.len().max(1),
            threads: cpus.len() / cores.len().max(1),
        };
        let product = real.nodes * real.sockets * real.cores * real.threads;
        if product == cpus.len() { real } else { flat }
    }
}

fn online() -> Result<BTreeSet<usize>, Refusal> {
    list(&format!("{CPUS}/online"))
}

/// Reads a file with a list such as `0-3,8`.
fn list(path: &str) -> Result<BTreeSet<usize>, Refusal> {
    let text = read(path)?;
    let mut numbers = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<usize>(), last.parse()) {
            (Ok(first), Ok(last)) => numbers.extend(first..=last),
            _ => return Err(refuse::internal(format!("{path} says '{part}'"))),
        }
    }
    Ok(numbers)
}

/// Returns a row of the kernel's page about memory, in KiB.
fn meminfo(row: &str) -> Result<u64, Refusal> {
    let text = read("/proc/meminfo")?;
    let value = text.lines().find_map(|line| line.strip_prefix(row)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| refuse::internal(format!("/proc/meminfo has no {row}")))
}

/// Returns the speed of the first processor; 0, libvirt's word for it, if the kernel does not tell.
fn mhz() -> i32 {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let speed = text.lines().find_map(|line| {
        line.strip_prefix("cpu MHz")?.split(':').nth(1)?.split('.').next()?.trim().parse().ok()
    });
    speed.unwrap_or(0)
}

fn read(path: impl AsRef<Path>) -> Result<String, Refusal> {
    let path = path.as_ref();
    fs::read_to_string(path)
        .map_err(|error| refuse::internal(format!("cannot read {}: {error}", path.display())))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
