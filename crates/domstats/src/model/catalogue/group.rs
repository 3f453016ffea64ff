//! What a group of statistics is, and the macro behind the table of groups.

use crate::model::{
    catalogue::{Section, row::Schema, section::some},
    groups::{DomainStats, GROUPS, StatsGroups},
};

/// One group of statistics: its names, its rows, and where a domain keeps it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Group {
    /// The bit that selects it.
    pub bit: StatsGroups,
    /// The name of the bit in C and Python: `VIR_DOMAIN_STATS_CPU_TOTAL`.
    pub constant: &'static str,
    /// Its field in [`DomainStats`], and its name in Python.
    pub field: &'static str,
    /// Its name, as in `virsh domstats --cpu-total` and in `<missing group='cpu-total'>`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// The first word of its flat keys.
    pub flat: &'static str,
    /// Its element in XML and its key in JSON.
    pub element: &'static str,
    /// The metric name below `libvirt_domain_` that carries its texts as labels.
    pub info: Option<&'static str>,
    /// Its rows.
    pub schema: &'static Schema,
    get: fn(&DomainStats) -> Option<&dyn Section>,
    slot: fn(&mut DomainStats) -> &mut dyn Section,
    clear: fn(&mut DomainStats),
}

impl Group {
    /// Returns what a domain has of this group; `None` if nothing was read.
    #[must_use]
    pub fn of<'a>(&self, domain: &'a DomainStats) -> Option<&'a dyn Section> {
        (self.get)(domain)
    }

    /// Returns the place of this group in a domain, made on first use.
    pub(crate) fn slot<'a>(&self, domain: &'a mut DomainStats) -> &'a mut dyn Section {
        (self.slot)(domain)
    }

    /// Removes this group from a domain.
    pub(crate) fn clear(&self, domain: &mut DomainStats) {
        (self.clear)(domain);
    }

    /// Returns the group of a bit, or `None` for an unknown or combined bit.
    #[must_use]
    pub fn by_bit(bit: StatsGroups) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.bit == bit)
    }

    /// Returns the group of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        GROUPS.iter().find(|group| group.name == name)
    }
}

/// The options of a group's row. An empty option is one that was not given.
pub(crate) struct GroupOptions {
    /// The name of the bit in C and Python.
    pub(crate) constant: &'static str,
    /// The group's name; the field's by default.
    pub(crate) name: &'static str,
    /// The first word of its flat keys; the field's name by default.
    pub(crate) flat: &'static str,
    /// Its element; the field's name by default.
    pub(crate) element: &'static str,
    /// The metric name that carries its texts as labels, if any.
    pub(crate) info: &'static str,
}

/// How to reach a group in a record.
pub(crate) struct Access {
    pub(crate) get: fn(&DomainStats) -> Option<&dyn Section>,
    pub(crate) slot: fn(&mut DomainStats) -> &mut dyn Section,
    pub(crate) clear: fn(&mut DomainStats),
}

impl GroupOptions {
    /// What a field of this name has if its row says no more.
    pub(crate) const fn of(field: &'static str) -> Self {
        Self { constant: "", name: field, flat: field, element: field, info: "" }
    }

    pub(crate) const fn row(
        self,
        bit: StatsGroups,
        field: &'static str,
        docs: &[&'static str],
        schema: &'static Schema,
        access: Access,
    ) -> Group {
        assert!(!self.constant.is_empty(), "the bit of a group has a name in C");
        let Self { constant, name, flat, element, info } = self;
        let Access { get, slot, clear } = access;
        let (help, info) = (without_period(docs[0].trim_ascii()), some(info));
        Group { bit, constant, field, name, help, flat, element, info, schema, get, slot, clear }
    }
}

const fn without_period(line: &'static str) -> &'static str {
    let (text, end) = line.split_at(line.len() - 1);
    assert!(end.as_bytes()[0] == b'.', "a doc comment ends with a period");
    text
}

/// Defines the groups. The attribute above each field is the group's row: the name of its bit, the
/// bit's number, and the options of [`GroupOptions`] by name.
///
/// ```text
/// groups!(
///     pub struct DomainStats {
///         /// Each network interface, seen from the guest.
///         #[group(INTERFACE = 4, constant = "VIR_DOMAIN_STATS_INTERFACE", flat = "net", element = "interfaces")]
///         pub interface: Option<Interfaces>,
///     }
/// );
/// ```
///
/// It makes the bits ([`StatsGroups`]), the record with a field for each ([`DomainStats`]), and the table
/// that everything else walks ([`GROUPS`]).
macro_rules! groups {
    (
        pub struct DomainStats {
            $(
                $(#[doc = $doc:literal])*
                #[group(
                    $flag:ident = $bit:literal,
                    constant = $constant:literal
                    $(, $option:ident = $value:literal)*
                )]
                pub $field:ident: Option<$type:ident>,
            )*
        }
    ) => {
        bitflags::bitflags! {
            /// The groups of statistics, with libvirt's bits (`virDomainStatsTypes`).
            ///
            /// The empty set selects every group of libvirt's that the driver supports. Groups that
            /// libvirt lacks have bits above its own, and are read only if they are named. Bits that
            /// this version does not know are kept, and are an unsupported group like any other.
            ///
            /// ```
            /// use domstats::StatsGroups;
            /// assert_eq!(StatsGroups::CPU, StatsGroups::CPU_TOTAL | StatsGroups::VCPU);
            /// assert_eq!(StatsGroups::of_libvirt().bits(), 0x7ff);
            /// assert_eq!(StatsGroups::from_bits_retain(1 << 20).bits(), 1 << 20);
            /// ```
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
            #[doc(alias = "virDomainStatsTypes")]
            pub struct StatsGroups: u32 {
                $(
                    $(#[doc = $doc])*
                    #[doc(alias = $constant)]
                    const $flag = 1 << $bit;
                )*
                /// The RFC's group for CPU statistics: the totals and each vCPU.
                #[doc(alias = "VIR_DOMAIN_STATS_CPU")]
                const CPU = Self::CPU_TOTAL.bits() | Self::VCPU.bits();

                // Unknown bits belong to a newer peer; they are kept, not truncated.
                const _ = !0;
            }
        }

        impl StatsGroups {
            /// Returns the groups that this version knows: libvirt's, and those that it lacks.
            #[must_use]
            pub const fn all_known() -> Self {
                Self::empty()$(.union(Self::$flag))*
            }
        }

        /// The statistics of one domain. A group that was not requested, or not read, is `None`.
        #[derive(Debug, Clone, PartialEq, Default)]
        #[non_exhaustive]
        #[doc(alias = "virDomainStatsRecord")]
        pub struct DomainStats {
            /// The domain's identity.
            pub domain: $crate::model::identity::DomainInfo,
            /// When its oldest value was requested, by the host's clock; `None` if that was when the
            /// call began.
            pub taken_at: Option<std::time::SystemTime>,
            $($(#[doc = $doc])* pub $field: Option<$type>,)*
            /// The groups that were requested and are missing in whole or in part, by bit. A group can be
            /// both here and above: what needs no monitor was read, the rest is missing.
            pub missing: Vec<$crate::model::report::MissingGroup>,
            /// What a newer peer added to the domain.
            pub extra: $crate::model::stats::Extra,
        }

        /// Every group, in the order of the bits, which is that of libvirt's output.
        pub static GROUPS: &[$crate::model::stats::Group] = &[$(
            $crate::model::catalogue::group::GroupOptions {
                constant: $constant,
                $($option: $value,)*
                ..$crate::model::catalogue::group::GroupOptions::of(stringify!($field))
            }
            .row(
                StatsGroups::$flag,
                stringify!($field),
                &[$($doc),*],
                $type::SCHEMA,
                $crate::model::catalogue::group::Access {
                    get: |domain| domain.$field.as_ref().map(|group| group as _),
                    slot: |domain| domain.$field.get_or_insert_default(),
                    clear: |domain| domain.$field = None,
                },
            )
        ),*];
    };
}
pub(crate) use groups;
