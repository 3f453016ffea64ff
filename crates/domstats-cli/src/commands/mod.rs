//! The commands, one file each.

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod fields;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod stats;
mod timings;
