//! The values of the simulated domains, group by group.

use std::time::Duration;

use super::{
    guests::{Guest, Profile},
    numbers::Numbers,
};
use crate::model::{
    device::Nic,
    stats::{
        Balloon, BandwidthMonitor, BandwidthNode, CacheBank, CacheMonitor, Cpu, Cryptodev,
        Cryptodevs, DirtyRate, DirtyRateStatus, EnergyMonitor, EnergyPackage, HypervisorHistogram,
        HypervisorStat, HypervisorValue, Interface, Interfaces, Iothread, Iothreads, Memory, Perf,
        Pressure, Vcpu, VcpuDirtyRate, VcpuState, Vcpus, Vm,
    },
};

const GIB_IN_KIB: u64 = 1 << 20;

impl Guest {
    fn is_full(&self) -> bool {
        self.profile == Profile::Full
    }

    /// The vCPUs that are plugged in. Number 1 of a full domain was unplugged.
    fn vcpu_ids(&self, numbers: Numbers) -> Vec<u32> {
        match self.profile {
            Profile::Full => vec![0, 2, 3],
            _ => (0..4).take(numbers.setting("vcpus", 1..=4) as usize).collect(),
        }
    }

    /// The CPU time of the domain is that of its vCPUs plus some for the emulator.
    pub(super) fn cpu(&self, numbers: Numbers) -> Cpu {
        let user = self.vcpu_ids(numbers).into_iter().map(|id| vcpu_time(numbers, id)).sum();
        let system = numbers.counter("cpu.system", 1_000_000..=40_000_000);
        let mut cpu = Cpu {
            time: Some(user + system),
            user: Some(user),
            system: Some(system),
            ..Cpu::default()
        };
        if self.is_full() {
            cpu.cache_monitors = vec![cache_monitor(numbers)];
            cpu.cache_monitor_count = Some(1);
            cpu.energy_monitors = vec![energy_monitor(numbers)];
            cpu.energy_monitor_count = Some(1);
            let polled = |field| Some(numbers.counter(field, 100_000..=9_000_000));
            cpu.haltpoll_success = polled("cpu.haltpoll.success");
            cpu.haltpoll_fail = polled("cpu.haltpoll.fail");
            cpu.pressure = Some(pressure(numbers, "cpu"));
        }
        cpu
    }

    pub(super) fn balloon(&self, numbers: Numbers) -> Balloon {
        let maximum = numbers.setting("balloon.maximum", 1..=16) * GIB_IN_KIB;
        if !self.is_active() {
            return Balloon {
                current: Some(maximum),
                maximum: Some(maximum),
                ..Balloon::default()
            };
        }
        let current = maximum / 4 * numbers.setting("balloon.quarters", 3..=4);
        // The guest's kernel reserves some.
        let available = current / 100 * 97;
        let percent = |field, range| available / 100 * numbers.gauge(field, range);
        let unused = percent("balloon.unused", 5..=40);
        let disk_caches = percent("balloon.disk_caches", 10..=40);
        let seldom = |field| Some(numbers.rare(field, 1..=2_000));
        // Rarely reported by guests.
        let rare = |field| self.is_full().then(|| numbers.rare(field, 1..=2_000));
        Balloon {
            current: Some(current),
            maximum: Some(maximum),
            swap_in: seldom("balloon.swap_in"),
            swap_out: seldom("balloon.swap_out"),
            major_fault: seldom("balloon.major_fault"),
            minor_fault: Some(numbers.counter("balloon.minor_fault", 10..=3_000)),
            unused: Some(unused),
            available: Some(available),
            usable: Some(unused + disk_caches),
            last_update: Some(super::EPOCH_SECONDS + numbers.seconds() / 10 * 10),
            disk_caches: Some(disk_caches),
            hugetlb_pgalloc: seldom("balloon.hugetlb_pgalloc"),
            hugetlb_pgfail: seldom("balloon.hugetlb_pgfail"),
            rss: Some(current / 100 * numbers.gauge("balloon.rss", 60..=95)),
            actual: Some(current),
            oom_kills: rare("balloon.oom_kills"),
            alloc_stalls: rare("balloon.alloc_stalls"),
            async_scans: rare("balloon.async_scans"),
            direct_scans: rare("balloon.direct_scans"),
            async_reclaims: rare("balloon.async_reclaims"),
            direct_reclaims: rare("balloon.direct_reclaims"),
            pressure: self.is_full().then(|| pressure(numbers, "memory")),
            ..Balloon::default()
        }
    }

    pub(super) fn vcpus(&self, numbers: Numbers) -> Vcpus {
        let ids = self.vcpu_ids(numbers);
        let current = ids.len() as u32;
        let maximum = if self.is_full() { 4 } else { current };
        let cpus = if self.is_active() {
            ids.into_iter().map(|id| self.vcpu(numbers, id)).collect()
        } else {
            Vec::new()
        };
        Vcpus { current: Some(current), maximum: Some(maximum), cpus, ..Vcpus::default() }
    }

    fn vcpu(&self, numbers: Numbers, id: u32) -> Vcpu {
        let part = numbers.part("vcpu", id);
        let mut vcpu = Vcpu {
            id,
            state: Some(VcpuState::Running),
            time: Some(vcpu_time(numbers, id)),
            wait: Some(part.counter("wait", 1_000..=20_000_000)),
            delay: Some(part.counter("delay", 1_000..=5_000_000)),
            ..Vcpu::default()
        };
        if self.is_full() {
            let halted = part.gauge("halted", 0..=1) == 1;
            vcpu.halted = Some(halted);
            vcpu.stats = vec![
                sum(part, "exits", 100..=50_000),
                sum(part, "io_exits", 10..=5_000),
                sum(part, "irq_exits", 10..=2_000),
                sum(part, "halt_wakeup", 10..=2_000),
                HypervisorStat {
                    name: "guest_mode".into(),
                    cur: Some(HypervisorValue::Truth(!halted)),
                    ..HypervisorStat::default()
                },
                HypervisorStat {
                    name: "halt_poll_longest_ns".into(),
                    // A peak never falls.
                    max: Some(HypervisorValue::Number(part.setting("halt_poll", 1_000..=200_000))),
                    ..HypervisorStat::default()
                },
            ];
            vcpu.histograms = histograms(part);
        }
        vcpu
    }

    /// One tap; a full domain has a second interface without a device on the host.
    pub(super) fn interfaces(&self, numbers: Numbers) -> Interfaces {
        let part = numbers.part("interface", 0);
        let rx_pkts = part.counter("rx.pkts", 1..=20_000);
        let tx_pkts = part.counter("tx.pkts", 1..=20_000);
        let seldom = |field| Some(part.rare(field, 0..=50));
        let tap = Interface {
            index: 0,
            name: Some(self.tap().into()),
            rx_bytes: Some(rx_pkts * part.setting("rx.size", 64..=1_500)),
            rx_pkts: Some(rx_pkts),
            rx_errs: seldom("rx.errs"),
            rx_drop: seldom("rx.drop"),
            tx_bytes: Some(tx_pkts * part.setting("tx.size", 64..=1_500)),
            tx_pkts: Some(tx_pkts),
            tx_errs: seldom("tx.errs"),
            tx_drop: seldom("tx.drop"),
            ..Interface::default()
        };
        Interfaces {
            count: Some(if self.is_full() { 2 } else { 1 }),
            interfaces: vec![tap],
            ..Interfaces::default()
        }
    }

    fn tap(&self) -> String {
        format!("vnet{}", self.number - 1)
    }

    pub(super) fn nics(&self) -> Vec<Nic> {
        if !self.is_active() {
            return Vec::new();
        }
        let own = Numbers::new(self.seed, Duration::ZERO).setting("mac", 0..=0xff_ffff);
        let [.., a, b, c] = own.to_be_bytes();
        let mac = format!("52:54:00:{a:02x}:{b:02x}:{c:02x}");
        vec![Nic { device: self.tap().into(), mac: mac.into(), model: "virtio".into() }]
    }

    pub(super) fn perf(&self, numbers: Numbers) -> Perf {
        let often = |field| Some(numbers.counter(field, 1_000_000..=3_000_000_000));
        let seldom = |field| Some(numbers.counter(field, 1..=2_000));
        let gauge = |field| Some(numbers.gauge(field, 1 << 20..=1 << 30));
        Perf {
            cmt: gauge("cmt"),
            mbmt: gauge("mbmt"),
            mbml: gauge("mbml"),
            cpu_cycles: often("cpu_cycles"),
            instructions: often("instructions"),
            cache_references: often("cache_references"),
            cache_misses: often("cache_misses"),
            branch_instructions: often("branch_instructions"),
            branch_misses: often("branch_misses"),
            bus_cycles: often("bus_cycles"),
            stalled_cycles_frontend: often("stalled_cycles_frontend"),
            stalled_cycles_backend: often("stalled_cycles_backend"),
            ref_cpu_cycles: often("ref_cpu_cycles"),
            cpu_clock: often("cpu_clock"),
            task_clock: often("task_clock"),
            page_faults: seldom("page_faults"),
            context_switches: seldom("context_switches"),
            cpu_migrations: seldom("cpu_migrations"),
            page_faults_min: seldom("page_faults_min"),
            page_faults_maj: seldom("page_faults_maj"),
            alignment_faults: seldom("alignment_faults"),
            emulation_faults: seldom("emulation_faults"),
            ..Perf::default()
        }
    }

    pub(super) fn iothreads(&self, numbers: Numbers) -> Iothreads {
        let count = if self.is_full() { 2 } else { 1 };
        let iothread = |id| {
            let part = numbers.part("iothread", id);
            Iothread {
                id,
                poll_max_ns: Some(32_768),
                poll_grow: Some(0),
                poll_shrink: Some(0),
                // Newer than most QEMUs.
                poll_weight: self.is_full().then(|| part.setting("poll-weight", 1..=8) as u32),
                aio_max_batch: self.is_full().then_some(0),
                name: Some(format!("iothread{id}").into()),
                cpu_time: Some(part.counter("cpu.time", 10_000..=200_000_000)),
                cpu_delay: Some(part.counter("cpu.delay", 1_000..=2_000_000)),
                ..Iothread::default()
            }
        };
        Iothreads {
            count: Some(count),
            iothreads: (1..=count).map(iothread).collect(),
            ..Iothreads::default()
        }
    }

    pub(super) fn memory(&self, numbers: Numbers) -> Memory {
        let node = |index| {
            let part = numbers.part("memory.node", index);
            let local = part.counter("local", 1_000_000..=900_000_000);
            BandwidthNode {
                index,
                id: Some(index),
                local: Some(local),
                total: Some(local + part.counter("remote", 1_000..=90_000_000)),
                ..BandwidthNode::default()
            }
        };
        let monitor = BandwidthMonitor {
            index: 0,
            name: Some("vcpus_0-3".into()),
            vcpus: Some("0-3".to_owned()),
            node_count: Some(2),
            nodes: vec![node(0), node(1)],
            ..BandwidthMonitor::default()
        };
        Memory { monitor_count: Some(1), monitors: vec![monitor], ..Memory::default() }
    }

    pub(super) fn dirtyrate(&self, numbers: Numbers) -> DirtyRate {
        if !self.is_full() {
            return DirtyRate {
                status: Some(DirtyRateStatus::Unstarted),
                start_time: Some(0),
                period: Some(0),
                mode: Some("page-sampling".to_owned()),
                ..DirtyRate::default()
            };
        }
        let vcpus: Vec<_> = self
            .vcpu_ids(numbers)
            .into_iter()
            .map(|id| VcpuDirtyRate {
                id,
                megabytes_per_second: Some(numbers.part("dirty", id).setting("rate", 0..=400)),
                ..VcpuDirtyRate::default()
            })
            .collect();
        let total: u64 = vcpus.iter().filter_map(|vcpu| vcpu.megabytes_per_second).sum();
        DirtyRate {
            status: Some(DirtyRateStatus::Measured),
            start_time: Some(numbers.setting("dirty.start", 1_000..=90_000) as i64),
            period: Some(1),
            mode: Some("dirty-ring".to_owned()),
            megabytes_per_second: Some(total as i64),
            vcpus,
            ..DirtyRate::default()
        }
    }

    pub(super) fn vm(&self, numbers: Numbers) -> Vm {
        Vm {
            stats: of_every_kind(numbers, ["remote_tlb_flush", "pages_4k", "max_mmu_rmap_size"]),
            histograms: histograms(numbers),
            ..Vm::default()
        }
    }

    pub(super) fn cryptodevs(&self, numbers: Numbers) -> Cryptodevs {
        let device = Cryptodev {
            name: Some("crypto0".into()),
            stats: of_every_kind(numbers, ["sym-encrypt-ops", "sessions", "max-sessions"]),
            ..Cryptodev::default()
        };
        Cryptodevs { count: Some(1), cryptodevs: vec![device], ..Cryptodevs::default() }
    }
}

/// A sum, a momentary value and a peak.
fn of_every_kind(numbers: Numbers, [total, cur, max]: [&str; 3]) -> Vec<HypervisorStat> {
    let stat = |name: &str| HypervisorStat { name: name.into(), ..HypervisorStat::default() };
    let number = |number| Some(HypervisorValue::Number(number));
    vec![
        sum(numbers, total, 1..=900),
        HypervisorStat { cur: number(numbers.gauge(cur, 100..=90_000)), ..stat(cur) },
        HypervisorStat { max: number(numbers.setting(max, 1..=9)), ..stat(max) },
    ]
}

fn vcpu_time(numbers: Numbers, id: u32) -> u64 {
    numbers.part("vcpu", id).counter("time", 10_000_000..=900_000_000)
}

fn sum(numbers: Numbers, name: &str, per_second: std::ops::RangeInclusive<u64>) -> HypervisorStat {
    HypervisorStat {
        name: name.into(),
        sum: Some(HypervisorValue::Number(numbers.counter(name, per_second))),
        ..HypervisorStat::default()
    }
}

/// `some` exceeds `full`.
pub(super) fn pressure(numbers: Numbers, resource: &str) -> Pressure {
    let part = numbers.part(resource, 0);
    let full = part.counter("full", 1_000..=2_000_000);
    Pressure {
        some: Some(full + part.counter("some", 1_000..=9_000_000)),
        full: Some(full),
        ..Pressure::default()
    }
}

/// Returns a histogram of each kind. Only the first is one that KVM has.
fn histograms(numbers: Numbers) -> Vec<HypervisorHistogram> {
    let bins = |name| (0..8).map(move |bin| numbers.part(name, bin).counter("bin", 0..=200));
    vec![
        HypervisorHistogram {
            name: "halt_wait_hist".into(),
            unit: Some("seconds".to_owned()),
            base: Some(10),
            exponent: Some(-9),
            log2: Some(bins("halt_wait_hist").collect()),
            ..HypervisorHistogram::default()
        },
        HypervisorHistogram {
            name: "exit_length_hist".into(),
            bucket_size: Some(500),
            linear: Some(bins("exit_length_hist").collect()),
            ..HypervisorHistogram::default()
        },
    ]
}

fn cache_monitor(numbers: Numbers) -> CacheMonitor {
    let bank = |index| CacheBank {
        index,
        id: Some(index),
        bytes: Some(numbers.part("bank", index).gauge("bytes", 1..=512) << 16),
        ..CacheBank::default()
    };
    CacheMonitor {
        index: 0,
        name: Some("vcpus_0-3".into()),
        vcpus: Some("0-3".to_owned()),
        bank_count: Some(2),
        banks: vec![bank(0), bank(1)],
        ..CacheMonitor::default()
    }
}

fn energy_monitor(numbers: Numbers) -> EnergyMonitor {
    let thousandths = |field| Some(numbers.counter(field, 100..=20_000) as f64 / 1_000.0);
    let package = EnergyPackage {
        index: 0,
        id: Some(0),
        core_energy: thousandths("core_energy"),
        activity: thousandths("activity"),
        ..EnergyPackage::default()
    };
    EnergyMonitor {
        index: 0,
        name: Some("vcpus_0-3".into()),
        vcpus: Some("0-3".to_owned()),
        package_count: Some(1),
        packages: vec![package],
        ..EnergyMonitor::default()
    }
}
