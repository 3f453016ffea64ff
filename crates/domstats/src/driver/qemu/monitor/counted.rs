//! What the hypervisor counts of a guest, as `query-stats-schemas` tells.

use std::collections::HashMap;

use crate::driver::qemu::monitor::query::{StatSchema, StatsSchema};

/// What is counted for one target, and of which kind it is.
pub(crate) type Kinds = HashMap<String, StatSchema>;

/// What is counted in a guest.
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
    fn of_another_target_nothing_is_counted() {
        // QEMU 8.0 and later tell of crypto devices under every accelerator.
        let json = r#"[{"provider": "cryptodev", "target": "cryptodev", "stats": [
            {"name": "sym-encrypt-ops", "exponent": 0, "type": "cumulative"}]}]"#;
        let counted = Counted::new(&serde_json::from_str::<Vec<StatsSchema>>(json).unwrap());
        assert!(counted.vm.is_empty() && counted.vcpu.is_empty());
    }
}
