//! For servers that speak libvirt's protocol themselves, such as domstatsd: calls relayed to a
//! libvirt daemon as bytes, and the wire's structures in the terms of the model.
//!
//! Not part of the API: it follows `domstats-rpc`, and changes with it.

use std::{sync::Arc, time::Duration};

pub use crate::driver::{
    capability::{Call, Relayed},
    libvirt::wire::{domain_info, param, value},
};
use crate::{
    connect::{
        Connect,
        connection::{Connection, deadline},
    },
    driver,
    model::{error::Result, identity::DomainInfo},
};

/// The way to the libvirt daemon behind a connection.
#[derive(Clone)]
pub struct Relay {
    connection: Arc<Connection>,
}

impl Relay {
    /// Returns the way to the daemon behind a connection; `None` if there is none.
    #[must_use]
    pub fn of(connect: &Connect) -> Option<Self> {
        connect.connection.driver.as_relay()?;
        Some(Self { connection: Arc::clone(&connect.connection) })
    }

    /// Relays a call for which the daemon asks no monitor.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConnection`](crate::ErrorKind::InvalidConnection) after [`Connect::close`], [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if the
    /// daemon did not answer in time, and whatever keeps from reaching it.
    pub fn call(&self, call: Call<'_>, timeout: Duration) -> Result<Relayed> {
        self.open()?.relay(None, call, deadline(timeout))
    }

    /// Relays a call for which the daemon may ask the monitor of a domain. While that monitor is
    /// stuck, the call fails at once.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn call_monitor(
        &self,
        domain: &DomainInfo,
        call: Call<'_>,
        timeout: Duration,
    ) -> Result<Relayed> {
        self.open()?.relay(Some(domain), call, deadline(timeout))
    }

    /// Does what [`call_monitor`](Self::call_monitor) does, for a caller that can get the answer
    /// another way: `None`, at once, while the domain's monitor is stuck or the daemon has enough
    /// monitors to wait for.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Self::call).
    pub fn call_free_monitor(
        &self,
        domain: &DomainInfo,
        call: Call<'_>,
        timeout: Duration,
    ) -> Result<Option<Relayed>> {
        self.open()?.relay_if_free(domain, call, deadline(timeout))
    }

    fn open(&self) -> Result<&dyn driver::capability::Relay> {
        self.connection.check_open()?;
        let relay = self.connection.driver.as_relay();
        self.connection.capability(relay, "has no libvirt daemon")
    }
}
