//! What resctrl measures for a guest, in libvirt's terms: one monitor per group of its threads.

use crate::{
    driver::qemu::host::accounts::MonitoringGroups,
    host::resctrl::{Cache, MonitoringGroup, Package},
    model::stats::{
        BandwidthMonitor, BandwidthNode, CacheBank, CacheMonitor, Cpu, EnergyMonitor,
        EnergyPackage, Memory,
    },
};

impl MonitoringGroups {
    /// Adds the monitors of caches and energy to the group `cpu-total`.
    pub(super) fn fill(&self, cpu: &mut Cpu) {
        if self.watched.caches {
            cpu.cache_monitors = self.list(|monitor| !monitor.caches.is_empty(), Self::cache);
            cpu.cache_monitor_count = count(&cpu.cache_monitors);
        }
        if self.watched.energy {
            cpu.energy_monitors = self.list(|monitor| !monitor.packages.is_empty(), Self::energy);
            cpu.energy_monitor_count = count(&cpu.energy_monitors);
        }
    }

    /// Returns the monitors of memory bandwidth; `None` if there are none.
    pub(super) fn memory(&self) -> Option<Memory> {
        let is_one =
            |monitor: &MonitoringGroup| self.watched.bandwidth && !monitor.caches.is_empty();
        let monitors = self.list(is_one, Self::bandwidth);
        let monitor_count = count(&monitors)?;
        Some(Memory { monitor_count: Some(monitor_count), monitors, ..Memory::default() })
    }

    fn list<T>(
        &self,
        is_one: impl Fn(&MonitoringGroup) -> bool,
        make: impl Fn(&Self, u32, &MonitoringGroup) -> T,
    ) -> Vec<T> {
        let monitors = self.monitors.iter().filter(|monitor| is_one(monitor));
        (0..).zip(monitors).map(|(index, monitor)| make(self, index, monitor)).collect()
    }

    fn cache(&self, index: u32, monitor: &MonitoringGroup) -> CacheMonitor {
        let bank = |(index, cache): (u32, &Cache)| CacheBank {
            index,
            id: Some(cache.id),
            bytes: cache.occupied,
            ..CacheBank::default()
        };
        CacheMonitor {
            index,
            name: Some(monitor.name.as_str().into()),
            vcpus: self.vcpus_of(monitor),
            bank_count: count(&monitor.caches),
            banks: (0..).zip(&monitor.caches).map(bank).collect(),
            ..CacheMonitor::default()
        }
    }

    fn bandwidth(&self, index: u32, monitor: &MonitoringGroup) -> BandwidthMonitor {
        let node = |(index, cache): (u32, &Cache)| BandwidthNode {
            index,
            id: Some(cache.id),
            local: cache.local_bytes,
            total: cache.total_bytes,
            ..BandwidthNode::default()
        };
        BandwidthMonitor {
            index,
            name: Some(monitor.name.as_str().into()),
            vcpus: self.vcpus_of(monitor),
            node_count: count(&monitor.caches),
            nodes: (0..).zip(&monitor.caches).map(node).collect(),
            ..BandwidthMonitor::default()
        }
    }

    fn energy(&self, index: u32, monitor: &MonitoringGroup) -> EnergyMonitor {
        let package = |(index, package): (u32, &Package)| EnergyPackage {
            index,
            id: Some(package.id),
            core_energy: package.core_energy,
            activity: package.activity,
            ..EnergyPackage::default()
        };
        EnergyMonitor {
            index,
            name: Some(monitor.name.as_str().into()),
            vcpus: self.vcpus_of(monitor),
            package_count: count(&monitor.packages),
            packages: (0..).zip(&monitor.packages).map(package).collect(),
            ..EnergyMonitor::default()
        }
    }

    /// Returns a group's vCPUs as a list such as `0-3,5`; `None` if there are none.
    fn vcpus_of(&self, monitor: &MonitoringGroup) -> Option<String> {
        let inside = self.vcpus.iter().filter(|(_, tid)| monitor.tasks.contains(tid));
        let mut ids: Vec<u32> = inside.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let ranges: Vec<String> = ids
            .chunk_by(|one, next| one.checked_add(1) == Some(*next))
            .filter_map(|range| match range {
                [] => None,
                [one] => Some(one.to_string()),
                [first, .., last] => Some(format!("{first}-{last}")),
            })
            .collect();
        (!ranges.is_empty()).then(|| ranges.join(","))
    }
}

/// Returns the number of items; `None` instead of 0, which nothing counted.
fn count<T>(items: &[T]) -> Option<u32> {
    u32::try_from(items.len()).ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::resctrl::Watched;

    fn monitor(name: &str, tasks: &[u32]) -> MonitoringGroup {
        MonitoringGroup {
            name: name.to_owned(),
            tasks: tasks.to_vec(),
            caches: vec![Cache {
                id: 4,
                occupied: Some(1),
                local_bytes: None,
                total_bytes: Some(3),
            }],
            packages: Vec::new(),
        }
    }

    #[test]
    fn vcpus_are_listed_as_ranges() {
        let vcpus = vec![(5, 15), (0, 10), (2, 12), (1, 11)];
        let monitors = MonitoringGroups { vcpus, ..MonitoringGroups::default() };
        for (tasks, list) in [
            (&[10, 11, 12, 15, 7][..], Some("0-2,5")),
            (&[11], Some("1")),
            (&[15, 10], Some("0,5")),
            (&[7], None),
        ] {
            assert_eq!(monitors.vcpus_of(&monitor("", tasks)).as_deref(), list);
        }
    }

    #[test]
    fn only_what_the_host_monitors_is_counted() {
        let mut monitors = MonitoringGroups {
            monitors: vec![monitor("vcpus_0", &[10])],
            ..MonitoringGroups::default()
        };
        let mut cpu = Cpu::default();
        monitors.fill(&mut cpu);
        assert_eq!((cpu, monitors.memory()), (Cpu::default(), None));

        monitors.watched = Watched { caches: true, bandwidth: true, energy: true };
        monitors.monitors.push(MonitoringGroup {
            name: "gold".to_owned(),
            tasks: vec![10],
            caches: Vec::new(),
            packages: vec![Package { id: 0, core_energy: Some(1.5), activity: None }],
        });
        let mut cpu = Cpu::default();
        monitors.fill(&mut cpu);
        assert_eq!((cpu.cache_monitor_count, cpu.energy_monitor_count), (Some(1), Some(1)));
        let bank = &cpu.cache_monitors[0].banks[0];
        assert_eq!((bank.index, bank.id, bank.bytes), (0, Some(4), Some(1)));
        let energy = &cpu.energy_monitors[0];
        assert_eq!((energy.index, energy.packages[0].core_energy), (0, Some(1.5)));
        let memory = monitors.memory().unwrap();
        assert_eq!(memory.monitor_count, Some(1));
        let node = &memory.monitors[0].nodes[0];
        assert_eq!((node.id, node.local, node.total), (Some(4), None, Some(3)));
    }
}
