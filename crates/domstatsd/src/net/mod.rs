//! Sockets, TLS, and the clients that connect to either server.

pub(crate) mod listen;
pub(crate) mod secret;
pub(crate) mod source;
pub(crate) mod strangers;
pub(crate) mod tls;
