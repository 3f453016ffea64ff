//! Requests and reports, typed. Uses no file, no socket and no clock.

pub(crate) mod catalogue;
pub(crate) mod device;
pub(crate) mod error;
pub(crate) mod groups;
pub(crate) mod identity;
pub(crate) mod missing;
pub(crate) mod name;
pub(crate) mod report;
pub(crate) mod request;
pub mod stats;
