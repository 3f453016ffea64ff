//! One monitor: its socket and who holds it, the queries it gets, and its replies.

pub(crate) mod budget;
pub(crate) mod cache;
pub(crate) mod copies;
pub(crate) mod counted;
pub(crate) mod first_client;
pub(crate) mod image_files;
pub(crate) mod nics;
pub(crate) mod query;
pub(crate) mod reader;
pub(crate) mod session;
pub(crate) mod sockets;
