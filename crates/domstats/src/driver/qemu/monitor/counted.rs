//! Which statistics the hypervisor counts for a guest, according to `query-stats-schemas`.

use std::collections::HashMap;

use crate::driver::qemu::monitor::query::{StatSchema, StatsSchema};

/// The statistics counted for one kind of target, with their types.
pub(crate) type Kinds = HashMap<String, StatSchema>;

/// The statistics counted in a guest.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) vm: Kinds,
    pub(crate) vcpu: Kinds,
    pub(crate) cryptodev: Kinds,
}

impl Counted {
    pub(crate) fn new(schemas: &[StatsSchema]) -> Self {
        let kinds = |target: &str| {
            let schemas = schemas.iter().filter(|schema| schema.target == target);
            let stats = schemas.flat_map(|schema| &schema.stats);
            stats.map(|stat| (stat.name.clone(), stat.clone())).collect()
        };
        Self { vm: kinds("vm"), vcpu: kinds("vcpu"), cryptodev: kinds("cryptodev") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_statistics_of_other_targets() {
        // QEMU 8.0 and later list crypto devices under every accelerator.
        let json = r#"[{"provider": "cryptodev", "target": "cryptodev", "stats": [
            {"name": "sym-encrypt-ops", "exponent": 0, "type": "cumulative"}]}]"#;
        let counted = Counted::new(&serde_json::from_str::<Vec<StatsSchema>>(json).unwrap());
        assert!(counted.vm.is_empty() && counted.vcpu.is_empty());
    }
}
