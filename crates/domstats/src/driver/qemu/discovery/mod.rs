//! Which QEMUs there are, and what their command lines claim.

pub(crate) mod command_line;
pub(crate) mod command_lines;
pub(crate) mod config_file;
pub(crate) mod monitor_option;
pub(crate) mod named;
pub(crate) mod options;
pub(crate) mod processes;
pub(crate) mod trust;
