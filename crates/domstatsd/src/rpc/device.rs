//! One domain, one device: the calls of clients that do not know the bulk call.
//!
//! Where libvirt does not answer, each is a pass over one domain. These replies have no room for a reason: a
//! value that was not read is -1 where libvirt uses that, is left out where it can be, and refuses the call
//! elsewhere.

use std::{slice, sync::Arc, time::Instant};

use domstats::{DomainStats, StatsGroups, stats::Block};
use domstats_rpc::{
    limits,
    message::{
        self, BlockInfo, BlockParams, BlockParamsArgs, BlockStats, Device, DeviceFlags,
        DomainFlags, DomainSummary, MemoryStat, MemoryStats, MemoryStatsArgs, Opaque, ParamValue,
        StateArgs, StateReply, TypedParam, VcpuInfo, VcpusArgs, VcpusReply,
    },
    xdr::List,
};

use super::{
    connect::Client,
    domains::{meant, not_found, not_there},
    refuse::{self, Refusal},
};
use crate::hypervisors::{Snapshot, StatsQuery};

/// The statistics of one domain.
pub(super) struct Reading {
    /// When the client asked.
    pub(super) began: Instant,
    snapshot: Arc<Snapshot>,
}

impl Reading {
    pub(super) fn stats(&self) -> &DomainStats {
        // `read` has checked that there is one.
        &self.snapshot.report().domains[0]
    }

    pub(super) fn is_active(&self) -> bool {
        self.stats().domain.id.is_some()
    }

    /// Refuses a domain that is not running.
    pub(super) fn check_active(&self) -> Result<(), Refusal> {
        if self.is_active() { Ok(()) } else { Err(refuse::not_running()) }
    }

    /// Returns the error for a value that was not read.
    pub(super) fn missing(&self, group: StatsGroups) -> Refusal {
        match self.stats().why_missing(group) {
            Some(missing) => refuse::missing(missing),
            None => refuse::unsupported("the hypervisor does not tell this value"),
        }
    }

    fn block(&self, name: &str, unknown: impl Fn() -> String) -> Result<&Block, Refusal> {
        let Some(blocks) = &self.stats().block else {
            return Err(self.missing(StatsGroups::BLOCK));
        };
        let is =
            |block: &&Block| [block.name.as_deref(), block.path.as_deref()].contains(&Some(name));
        let found = blocks.blocks.iter().find(is);
        found.ok_or_else(|| refuse::invalid_argument(unknown()))
    }

    /// Returns a disk whose counters were read.
    fn counted(&self, name: &str) -> Result<&Block, Refusal> {
        let block = self.block(name, || format!("invalid path: {name}"))?;
        match (block.rd_reqs, block.wr_reqs) {
            (None, None) => Err(self.missing(StatsGroups::BLOCK)),
            _ => Ok(block),
        }
    }
}

/// Returns the query for the basic values of groups.
pub(super) fn basic(groups: StatsGroups) -> StatsQuery {
    StatsQuery { basic: groups, ..StatsQuery::new(groups) }
}

/// Reads the domain that a client names.
pub(super) async fn read(
    client: &Client,
    domain: &message::Domain<'_>,
    query: StatsQuery,
) -> Result<Reading, Refusal> {
    let began = Instant::now();
    let meant = meant(client, slice::from_ref(domain)).await?;
    let snapshot = client.server.hypervisors.snapshot_of(meant, query).await;
    let report = snapshot.report();
    if report.domains.is_empty() {
        return Err(match report.missing.first() {
            Some(known) => refuse::missing(&known.missing),
            None => not_found(&snapshot.gathered, || not_there(domain)),
        });
    }
    Ok(Reading { began, snapshot })
}

pub(super) async fn state(client: &Client, args: StateArgs<'_>) -> Result<StateReply, Refusal> {
    if args.flags != 0 {
        return Err(refuse::unsupported_flags(args.flags, "qemuDomainGetState"));
    }
    let reading = read(client, &args.domain, basic(StatsGroups::STATE)).await?;
    let reason = reading.stats().state.as_ref().and_then(|state| state.reason);
    // Every state has the reason 0, "unknown".
    Ok(StateReply { state: state_of(&reading)?, reason: reason.map_or(0, |reason| reason.code()) })
}

/// Returns libvirt's number of the state.
fn state_of(reading: &Reading) -> Result<i32, Refusal> {
    let state = reading.stats().state.as_ref().and_then(|state| state.state);
    Ok(state.ok_or_else(|| reading.missing(StatsGroups::STATE))?.code())
}

pub(super) async fn summary(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<DomainSummary, Refusal> {
    let groups =
        StatsGroups::STATE | StatsGroups::CPU_TOTAL | StatsGroups::BALLOON | StatsGroups::VCPU;
    let reading = read(client, &domain, basic(groups)).await?;
    let stats = reading.stats();
    let maximum = memory(&reading, |balloon| balloon.maximum)?;
    let memory = memory(&reading, |balloon| balloon.current)?;
    let cpu_time = match stats.cpu.as_ref().and_then(|cpu| cpu.time) {
        Some(time) => time,
        // A domain without a process uses nothing.
        None if !reading.is_active() => 0,
        None => return Err(reading.missing(StatsGroups::CPU_TOTAL)),
    };
    let vcpus = vcpus_of(&reading, false)?;
    Ok(DomainSummary { state: state_of(&reading)?, maximum, memory, vcpus, cpu_time })
}

/// Returns a number of the balloon, in KiB.
fn memory(
    reading: &Reading,
    number: impl Fn(&domstats::stats::Balloon) -> Option<u64>,
) -> Result<u64, Refusal> {
    let known = reading.stats().balloon.as_ref().and_then(number);
    known.ok_or_else(|| reading.missing(StatsGroups::BALLOON))
}

/// Returns how many vCPUs a domain has, or can have.
fn vcpus_of(reading: &Reading, at_most: bool) -> Result<i32, Refusal> {
    let number =
        |vcpus: &domstats::stats::Vcpus| if at_most { vcpus.maximum } else { vcpus.current };
    let known = reading.stats().vcpu.as_ref().and_then(number);
    let count = known.ok_or_else(|| reading.missing(StatsGroups::VCPU))?;
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

pub(super) async fn max_memory(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<u64, Refusal> {
    let reading = read(client, &domain, basic(StatsGroups::BALLOON)).await?;
    memory(&reading, |balloon| balloon.maximum)
}

pub(super) async fn max_vcpus(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<i32, Refusal> {
    let reading = read(client, &domain, basic(StatsGroups::VCPU)).await?;
    reading.check_active()?;
    vcpus_of(&reading, true)
}

pub(super) async fn count_vcpus(client: &Client, args: DomainFlags<'_>) -> Result<i32, Refusal> {
    // `virDomainVcpuFlags`: live, configured, the maximum, and as the guest sees it.
    const LIVE: u32 = 1;
    const CONFIG: u32 = 2;
    const MAXIMUM: u32 = 4;
    const GUEST: u32 = 8;
    const FUNCTION: &str = "virDomainGetVcpusFlags";
    if args.flags & GUEST != 0 {
        return Err(refuse::read_only(refuse::DOMAIN, FUNCTION));
    }
    if args.flags & (LIVE | CONFIG) == LIVE | CONFIG {
        let sentence = "Flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually \
                        exclusive";
        return Err(refuse::bad_argument(refuse::DOMAIN, FUNCTION, "ctl", sentence));
    }
    let unknown = args.flags & !(LIVE | CONFIG | MAXIMUM);
    if unknown != 0 {
        return Err(refuse::unsupported_flags(unknown, "qemuDomainGetVcpusFlags"));
    }
    let reading = read(client, &args.domain, basic(StatsGroups::VCPU)).await?;
    match (args.flags & LIVE != 0, args.flags & CONFIG != 0, reading.is_active()) {
        (true, _, false) => Err(refuse::not_running()),
        (_, true, true) if !reading.stats().domain.persistent => Err(refuse::transient()),
        (_, true, true) => Err(refuse::unsupported("the configuration is not known here")),
        _ => vcpus_of(&reading, args.flags & MAXIMUM != 0),
    }
}

pub(super) async fn vcpus(client: &Client, args: VcpusArgs<'_>) -> Result<VcpusReply, Refusal> {
    /// libvirt's number for an unknown processor.
    const UNAVAILABLE: i32 = -2;
    let (Ok(most), Ok(length)) = (usize::try_from(args.most), usize::try_from(args.map_length))
    else {
        return Err(refuse::invalid_argument("maxinfo and maplen must not be negative"));
    };
    if most > limits::VCPUS || most.saturating_mul(length) > limits::CPU_MAPS {
        return Err(refuse::invalid_argument("maxinfo or maplen is over its limit"));
    }
    let reading = read(client, &args.domain, basic(StatsGroups::VCPU)).await?;
    if !reading.is_active() {
        return Err(refuse::no_vcpus());
    }
    let Some(vcpus) = &reading.stats().vcpu else {
        return Err(reading.missing(StatsGroups::VCPU));
    };
    let vcpu = |vcpu: &domstats::stats::Vcpu| {
        let state = vcpu.state.map(|state| state.code());
        Some(VcpuInfo { number: vcpu.id, state: state?, cpu_time: vcpu.time?, cpu: UNAVAILABLE })
    };
    let vcpus: Vec<VcpuInfo> = vcpus.cpus.iter().filter_map(vcpu).take(most).collect();
    // The affinity is unknown: a map would claim that they may run somewhere, or nowhere.
    let maps = Opaque(Vec::new());
    Ok(VcpusReply { vcpus: List(vcpus), maps })
}

/// Returns a counter for the old structures: -1 if unknown.
pub(super) fn counter(value: Option<u64>) -> i64 {
    value.and_then(|value| i64::try_from(value).ok()).unwrap_or(-1)
}

/// Reads the counters of a domain's disks, and their images if the client may name a disk by its image.
async fn disks(client: &Client, device: &Device<'_>) -> Result<Reading, Refusal> {
    let query = match device.name.contains('/') {
        true => StatsQuery::new(StatsGroups::BLOCK),
        false => basic(StatsGroups::BLOCK),
    };
    let reading = read(client, &device.domain, query).await?;
    reading.check_active()?;
    Ok(reading)
}

pub(super) async fn block_stats(
    client: &Client,
    device: Device<'_>,
) -> Result<BlockStats, Refusal> {
    let reading = disks(client, &device).await?;
    let block = reading.counted(&device.name)?;
    Ok(BlockStats {
        rd_reqs: counter(block.rd_reqs),
        rd_bytes: counter(block.rd_bytes),
        wr_reqs: counter(block.wr_reqs),
        wr_bytes: counter(block.wr_bytes),
        errors: counter(block.errors),
    })
}

/// Returns the sizes of a disk from the statistics, as libvirt combines them for a running domain; but the
/// physical size stays what the image takes.
pub(super) async fn block_info(
    client: &Client,
    args: DeviceFlags<'_>,
) -> Result<BlockInfo, Refusal> {
    if args.flags != 0 {
        return Err(refuse::unsupported_flags(args.flags, "qemuDomainGetBlockInfo"));
    }
    let Device { domain, name } = &args.device;
    let reading = read(client, domain, StatsQuery::new(StatsGroups::BLOCK)).await?;
    let block = reading.block(name, || format!("invalid path {name} not assigned to domain"))?;
    if block.path.is_none() {
        let what = format!("disk '{name}' does not currently have a source assigned");
        return Err(refuse::invalid_argument(what));
    }
    let allocation = block.allocation.filter(|allocation| *allocation > 0).or(block.physical);
    match (allocation, block.capacity, block.physical) {
        (Some(allocation), Some(capacity), Some(physical)) => {
            Ok(BlockInfo { allocation, capacity, physical })
        }
        _ => Err(reading.missing(StatsGroups::BLOCK)),
    }
}

pub(super) async fn block_params(
    client: &Client,
    args: BlockParamsArgs<'_>,
) -> Result<BlockParams<'static>, Refusal> {
    let reading = disks(client, &args.device).await?;
    let block = reading.counted(&args.device.name)?;
    // libvirt's names and its order.
    let counters = [
        ("wr_bytes", block.wr_bytes),
        ("wr_operations", block.wr_reqs),
        ("rd_bytes", block.rd_bytes),
        ("rd_operations", block.rd_reqs),
        ("flush_operations", block.fl_reqs),
        ("wr_total_times", block.wr_times),
        ("rd_total_times", block.rd_times),
        ("flush_total_times", block.fl_times),
    ];
    let known = counters.into_iter().filter_map(|(name, value)| {
        let value = ParamValue::LLong(i64::try_from(value?).ok()?);
        Some(TypedParam { field: name.into(), value })
    });
    let mut params: Vec<_> = known.collect();
    let count = params.len() as i32;
    // Clients ask for the count first, then for that many.
    params.truncate(usize::try_from(args.count).unwrap_or(0));
    let count = if args.count == 0 { count } else { params.len() as i32 };
    Ok(BlockParams { params: List(params), count })
}

pub(super) async fn memory_stats(
    client: &Client,
    args: MemoryStatsArgs<'_>,
) -> Result<MemoryStats, Refusal> {
    let reading = read(client, &args.domain, StatsQuery::new(StatsGroups::BALLOON)).await?;
    reading.check_active()?;
    let Some(balloon) = &reading.stats().balloon else {
        return Err(reading.missing(StatsGroups::BALLOON));
    };
    // In libvirt's order, by its tags (`virDomainMemoryStatTags`). Without a balloon, a domain has all its
    // memory.
    let values = [
        (6, balloon.actual.or(balloon.current)),
        (0, balloon.swap_in),
        (1, balloon.swap_out),
        (2, balloon.major_fault),
        (3, balloon.minor_fault),
        (4, balloon.unused),
        (5, balloon.available),
        (8, balloon.usable),
        (9, balloon.last_update),
        (10, balloon.disk_caches),
        (11, balloon.hugetlb_pgalloc),
        (12, balloon.hugetlb_pgfail),
        (7, balloon.rss),
    ];
    let known =
        values.into_iter().filter_map(|(tag, value)| Some(MemoryStat { tag, value: value? }));
    Ok(List(known.take(usize::try_from(args.most).unwrap_or(usize::MAX)).collect()))
}
