//! The host of the domains: this one, where no libvirt was asked.

use std::{borrow::Cow, collections::BTreeSet, fs, path::Path};

use domstats_rpc::{
    message::{
        CpuMap, CpuMapArgs, ListPoolsArgs, ListedPools, Model, NodeCpuStatsArgs, NodeInfo,
        NodeMemoryStatsArgs, NodeStat, NodeStats, Opaque,
    },
    xdr::List,
};

use super::{
    connect::Client,
    refuse::{self, Refusal},
};

const CPUS: &str = "/sys/devices/system/cpu";
const NODES: &str = "/sys/devices/system/node";

pub(super) async fn hostname(client: &Client, (): ()) -> Result<Cow<'static, str>, Refusal> {
    match client.server.hypervisors.first().await {
        Ok(Some(first)) => Ok(first.hostname().into()),
        Ok(None) => Err(refuse::no_support("virConnectGetHostname")),
        Err(failure) => Err(refuse::unreachable(&failure)),
    }
}

pub(super) async fn info(_: &Client, (): ()) -> Result<NodeInfo, Refusal> {
    let cpus = online()?;
    let topology = Topology::read(&cpus);
    Ok(NodeInfo {
        model: Model::new(&rustix::system::uname().machine().to_string_lossy()),
        memory: memory("MemTotal:")?,
        cpus: number(cpus.len()),
        mhz: mhz(),
        nodes: number(topology.nodes),
        sockets: number(topology.sockets),
        cores: number(topology.cores),
        threads: number(topology.threads),
    })
}

pub(super) async fn free_memory(_: &Client, (): ()) -> Result<u64, Refusal> {
    Ok(memory("MemFree:")? * 1024)
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

/// Storage pools are not read: the list is empty, because exporters give up after an error.
pub(super) async fn storage_pools(
    _: &Client,
    _: ListPoolsArgs,
) -> Result<ListedPools<'static>, Refusal> {
    Ok(ListedPools { pools: List(Vec::new()), count: 0 })
}

/// The topology of the processors: the product is their number, as clients assume.
struct Topology {
    nodes: usize,
    sockets: usize,
    cores: usize,
    threads: usize,
}

impl Topology {
    fn read(cpus: &BTreeSet<usize>) -> Self {
        // Where the product differs, libvirt too reports one socket with all cores.
        let flat = Self { nodes: 1, sockets: 1, cores: cpus.len(), threads: 1 };
        let of = |cpu: &usize, file: &str| {
            let path = format!("{CPUS}/cpu{cpu}/topology/{file}");
            fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
        };
        let ids = |cpu: &usize| Some((of(cpu, "physical_package_id")?, of(cpu, "core_id")?));
        let Some(ids) = cpus.iter().map(ids).collect::<Option<Vec<_>>>() else { return flat };
        let packages: BTreeSet<_> = ids.iter().map(|(package, _)| package).collect();
        let cores: BTreeSet<_> = ids.iter().collect();
        let nodes = list(&format!("{NODES}/has_cpu")).map_or(1, |nodes| nodes.len().max(1));
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

/// Returns a row of the kernel's memory files, in KiB: the sum of all NUMA nodes, as in libvirt, which can be less
/// than the row of all memory.
fn memory(row: &str) -> Result<u64, Refusal> {
    let Ok(nodes) = list(&format!("{NODES}/has_memory")) else { return meminfo(MEMINFO, row) };
    nodes.iter().map(|node| meminfo(&of_node(*node), row)).sum()
}

const MEMINFO: &str = "/proc/meminfo";

fn of_node(node: usize) -> String {
    format!("{NODES}/node{node}/meminfo")
}

/// Returns a row of a file, in KiB. In the file of a node, each row begins with the node's number.
fn meminfo(path: &str, row: &str) -> Result<u64, Refusal> {
    let text = read(path)?;
    let mut lines =
        text.lines().map(|line| line.split_whitespace().skip_while(|word| *word != row));
    let value = lines.find_map(|mut words| words.nth(1));
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| refuse::internal(format!("{path} has no {row}")))
}

pub(super) async fn cpu_stats(
    _: &Client,
    args: NodeCpuStatsArgs,
) -> Result<NodeStats<'static>, Refusal> {
    const FUNCTION: &str = "virHostCPUGetStatsLinux";
    check_number(args.cpu, "virNodeGetCPUStats", "cpuNum")?;
    let row = match args.cpu {
        -1 => "cpu".to_owned(),
        number => format!("cpu{number}"),
    };
    let unknown = || {
        let sentence = format!("Invalid cpuNum in {FUNCTION}");
        refuse::bad_argument(refuse::NONE, FUNCTION, "cpuNum", sentence)
    };
    let times = match processor(&row)? {
        // libvirt returns the count also for a processor that does not exist.
        None if args.count == 0 => processor("cpu")?,
        times => times,
    };
    stats_of(args.count, FUNCTION, times.ok_or_else(unknown)?)
}

/// Returns the times of a processor, in nanoseconds, from a row of `/proc/stat`.
fn processor(row: &str) -> Result<Option<[(&'static str, u64); 4]>, Refusal> {
    let text = read("/proc/stat")?;
    let ticks: Option<Vec<u64>> = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(row)).then(|| words.map_while(|word| word.parse().ok()).collect())
    });
    let Some(ticks) = ticks else { return Ok(None) };
    let [user, nice, system, idle, iowait, irq, softirq, ..] = ticks[..] else {
        return Err(refuse::internal(format!("/proc/stat has too few numbers of {row}")));
    };
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let times = [
        ("kernel", system + irq + softirq),
        ("user", user + nice),
        ("idle", idle),
        ("iowait", iowait),
    ];
    Ok(Some(times.map(|(field, ticks)| (field, ticks * tick))))
}

pub(super) async fn memory_stats(
    _: &Client,
    args: NodeMemoryStatsArgs,
) -> Result<NodeStats<'static>, Refusal> {
    const FUNCTION: &str = "virHostMemGetStats";
    check_number(args.node, "virNodeGetMemoryStats", "cellNum")?;
    let read = |path: &str, rows: &[(&'static str, &str)]| {
        let stat = |(field, row): &(&'static str, &str)| Ok((*field, meminfo(path, row)?));
        rows.iter().map(stat).collect::<Result<Vec<_>, Refusal>>()
    };
    let rows = [
        ("total", "MemTotal:"),
        ("free", "MemFree:"),
        ("buffers", "Buffers:"),
        ("cached", "Cached:"),
    ];
    let Ok(node) = usize::try_from(args.node) else {
        return stats_of(args.count, FUNCTION, read(MEMINFO, &rows)?);
    };
    let last = list(&format!("{NODES}/online"))?.last().copied().unwrap_or_default();
    if node > last {
        let sentence = format!("cellNum in {FUNCTION} must be less than or equal to {last}");
        return Err(refuse::bad_argument(refuse::NONE, FUNCTION, "cellNum", sentence));
    }
    // The kernel does not report the other rows for a node.
    stats_of(args.count, FUNCTION, read(&of_node(node), &rows[..2])?)
}

/// Refuses a negative number, but for -1, which means all.
fn check_number(number: i32, function: &'static str, name: &'static str) -> Result<(), Refusal> {
    if number >= -1 {
        return Ok(());
    }
    let sentence = format!("{name} in {function} only accepts -1 as a negative value");
    Err(refuse::bad_argument(refuse::DOMAIN, function, name, sentence))
}

/// Returns the values, or their count if the client asks for 0.
fn stats_of(
    wanted: i32,
    function: &'static str,
    stats: impl IntoIterator<Item = (&'static str, u64)>,
) -> Result<NodeStats<'static>, Refusal> {
    let stat = |(field, value): (&'static str, u64)| NodeStat { field: field.into(), value };
    let mut stats: Vec<_> = stats.into_iter().map(stat).collect();
    let count = number(stats.len());
    match wanted {
        0 => stats.clear(),
        wanted if wanted != count => {
            let sentence = format!("nparams in {function} must be equal to {count}");
            return Err(refuse::bad_argument(refuse::NONE, function, "nparams", sentence));
        }
        _ => {}
    }
    Ok(NodeStats { stats: List(stats), count })
}

/// Returns the speed of the first processor; 0, as in libvirt, if the kernel does not report it.
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
