//! Statistics: which to return, and the typed parameters that carry them.

use std::borrow::Cow;

use super::Domain;
use crate::{
    limits,
    xdr::{Decoder, Encoder, Fault, List, Xdr, xdr_struct},
};

xdr_struct! {
    /// Arguments of [`ConnectGetAllDomainStats`](crate::procedure::ConnectGetAllDomainStats).
    #[doc(alias = "remote_connect_get_all_domain_stats_args")]
    #[derive(Eq)]
    DomainStatsArgs<'a> {
        /// The domains; empty for all. The result leaves out those that the server does not know.
        #[doc(alias = "doms")]
        domains: List<Domain<'a>, { limits::DOMAINS }>,
        /// The groups, one bit each; 0 for all that the server has.
        #[doc(alias = "virDomainStatsTypes")]
        stats: u32,
        /// Which domains, how long to wait for them, and what to do about unknown groups.
        #[doc(alias = "virConnectGetAllDomainStatsFlags")]
        flags: u32,
    }
}

/// Result of [`ConnectGetAllDomainStats`](crate::procedure::ConnectGetAllDomainStats).
#[doc(alias = "remote_connect_get_all_domain_stats_ret")]
pub type StatsRecords<'a> = List<StatsRecord<'a>, { limits::DOMAINS }>;

xdr_struct! {
    /// The statistics of one domain.
    #[doc(alias = "remote_domain_stats_record")]
    StatsRecord<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// Its statistics.
        params: List<TypedParam<'a>, { limits::STATS_PARAMS }>,
    }
}

xdr_struct! {
    /// A named value.
    #[doc(alias = "remote_typed_param")]
    TypedParam<'a> {
        /// The name, such as `block.0.rd.reqs`. libvirt's client refuses more than 79 bytes.
        field: Cow<'a, str>,
        /// The value.
        value: ParamValue<'a>,
    }
}

/// Numbers the types of a value, each with the Rust type that represents it.
macro_rules! param_value {
    ($(#[$meta:meta])* $name:ident<'a> {
        $($(#[$about:meta])* $number:literal $variant:ident($kind:ty),)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name<'a> { $($(#[$about])* $variant($kind),)* }

        impl<'a> Xdr<'a> for $name<'a> {
            // The number of the type and the shortest value.
            const MIN_SIZE: usize = 8;

            fn encode(&self, out: &mut Encoder) {
                match self {
                    $(Self::$variant(value) => {
                        i32::encode(&$number, out);
                        value.encode(out);
                    })*
                }
            }

            fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault> {
                match i32::decode(input)? {
                    $($number => Xdr::decode(input).map(Self::$variant),)*
                    number => Err(Fault::UnknownType(number)),
                }
            }
        }
    };
}

param_value! {
    /// A value of one of the seven types.
    #[doc(alias = "virTypedParameterType")]
    #[doc(alias = "remote_typed_param_value")]
    ParamValue<'a> {
        /// Type 1.
        #[doc(alias = "VIR_TYPED_PARAM_INT")]
        1 Int(i32),
        /// Type 2.
        #[doc(alias = "VIR_TYPED_PARAM_UINT")]
        2 UInt(u32),
        /// Type 3.
        #[doc(alias = "VIR_TYPED_PARAM_LLONG")]
        3 LLong(i64),
        /// Type 4.
        #[doc(alias = "VIR_TYPED_PARAM_ULLONG")]
        4 ULLong(u64),
        /// Type 5.
        #[doc(alias = "VIR_TYPED_PARAM_DOUBLE")]
        5 Double(f64),
        /// Type 6.
        #[doc(alias = "VIR_TYPED_PARAM_BOOLEAN")]
        6 Boolean(bool),
        /// Type 7.
        #[doc(alias = "VIR_TYPED_PARAM_STRING")]
        7 String(Cow<'a, str>),
    }
}
