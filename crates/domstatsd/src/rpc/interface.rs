//! One network interface, named by its device or by its MAC address.

use domstats::{Nic, StatsGroups, stats::Interface};
use domstats_rpc::message::{Device, InterfaceStats};

use super::{
    connect::Client,
    device::{Reading, basic, counter, read},
    refuse::{self, Refusal},
};

impl Reading {
    /// Returns what is known of the domain's NICs.
    pub(super) async fn nics(&self, client: &Client) -> Vec<Nic> {
        client.server.hypervisors.nics(self.stats().domain.clone(), self.began).await
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        let mut interfaces = self.stats().interface.iter().flat_map(|all| &all.interfaces);
        interfaces.find(|interface| interface.name.as_deref() == Some(name))
    }
}

pub(super) async fn stats(client: &Client, device: Device<'_>) -> Result<InterfaceStats, Refusal> {
    let reading = read(client, &device.domain, basic(StatsGroups::INTERFACE)).await?;
    reading.check_active()?;
    if reading.stats().interface.is_none() {
        return Err(reading.missing(StatsGroups::INTERFACE));
    }
    // A client may name it by its MAC address.
    let interface = match (reading.interface(&device.name), mac(&device.name)) {
        (None, Some(wanted)) => {
            let nics = reading.nics(client).await;
            let nic = nics.iter().find(|nic| mac(&nic.mac) == Some(wanted));
            nic.and_then(|nic| reading.interface(&nic.device))
        }
        (found, _) => found,
    };
    let interface = interface.ok_or_else(|| {
        let what = format!("'{}' is not a known interface", device.name);
        refuse::invalid_argument(what)
    })?;
    if interface.rx_bytes.is_none() && interface.tx_bytes.is_none() {
        return Err(reading.missing(StatsGroups::INTERFACE));
    }
    Ok(InterfaceStats {
        rx_bytes: counter(interface.rx_bytes),
        rx_pkts: counter(interface.rx_pkts),
        rx_errs: counter(interface.rx_errs),
        rx_drop: counter(interface.rx_drop),
        tx_bytes: counter(interface.tx_bytes),
        tx_pkts: counter(interface.tx_pkts),
        tx_errs: counter(interface.tx_errs),
        tx_drop: counter(interface.tx_drop),
    })
}

/// Reads a MAC address as libvirt does: six numbers of one or two hexadecimal digits.
fn mac(text: &str) -> Option<[u8; 6]> {
    let is_short = |part: &&str| matches!(part.len(), 1 | 2) && !part.starts_with('+');
    let parts = text
        .split(':')
        .map(|part| Some(part).filter(is_short).and_then(|part| u8::from_str_radix(part, 16).ok()));
    parts.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_six_numbers() {
        let address = Some([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
        assert_eq!(mac("52:54:00:ab:CD:ef"), address);
        assert_eq!(mac("52:54:0:ab:cd:ef"), address);
        for text in
            ["", "tap0", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:0", "52:54:00:ab:cd:+e", "::::::"]
        {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
