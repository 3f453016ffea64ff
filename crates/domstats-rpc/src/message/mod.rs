//! The structures that arguments and results are made of.

mod connect;
mod domain;
mod error;
mod stats;

pub use connect::{
    AUTH_NONE, AUTH_POLKIT, AUTH_SASL, AuthTypes, OPEN_READ_ONLY, OpenArgs, SaslData, SaslReply,
    SaslStartArgs, SaslStepArgs,
};
pub use domain::{Domain, ListDomainsArgs, ListedDomains, StateArgs, StateReply};
pub use error::{Network, RemoteError, code};
pub use stats::{DomainStatsArgs, ParamValue, StatsRecord, StatsRecords, TypedParam};
