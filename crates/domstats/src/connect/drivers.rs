//! The driver table. Adding a driver costs one row here and a folder in `driver/`.

#[cfg(feature = "libvirt")]
use crate::driver::libvirt;
#[cfg(feature = "qemu")]
use crate::driver::qemu;
use crate::{
    driver::{Driver, options::ConnectOptions, test, uri::Uri},
    model::error::{Error, ErrorKind, ErrorOrigin, Result},
};

/// One row of the driver table.
struct DriverEntry {
    /// Whether it serves a URI scheme, in lower case.
    serves: fn(&str) -> bool,
    /// An example, for the error that lists the choices.
    example: &'static str,
    open: fn(&Uri, &ConnectOptions) -> Result<Box<dyn Driver>>,
    /// Finds what `open` would refuse in the URI, without asking the hypervisor.
    check: fn(&Uri, &ConnectOptions) -> Result<()>,
    /// False if the hypervisor is certainly not there. Does not ask it either.
    is_there: fn(&Uri, &ConnectOptions) -> bool,
}

const DRIVERS: &[DriverEntry] = &[
    #[cfg(feature = "libvirt")]
    DriverEntry {
        serves: libvirt::serves,
        example: "qemu:///system",
        open: libvirt::open,
        check: libvirt::check,
        is_there: libvirt::is_there,
    },
    #[cfg(feature = "qemu")]
    DriverEntry {
        serves: |scheme| scheme == "qemu+qmp",
        example: "qemu+qmp:///system",
        open: qemu::open,
        check: |uri, options| qemu::open(uri, options).map(drop),
        is_there: |_, _| true,
    },
    DriverEntry {
        serves: |scheme| scheme == "test",
        example: "test:///default",
        open: test::open,
        check: |uri, options| test::open(uri, options).map(drop),
        is_there: |_, _| true,
    },
];

/// Opens the driver that serves the URI.
pub(crate) fn open(uri: &Uri, options: &ConnectOptions) -> Result<Box<dyn Driver>> {
    (entry(uri)?.open)(uri, options)
}

/// Finds what is wrong with a URI, without asking the hypervisor.
pub(super) fn check(uri: &Uri, options: &ConnectOptions) -> Result<()> {
    (entry(uri)?.check)(uri, options)
}

/// Returns whether the hypervisor can be there.
pub(super) fn is_there(uri: &Uri, options: &ConnectOptions) -> bool {
    entry(uri).is_ok_and(|entry| (entry.is_there)(uri, options))
}

/// Returns whether this build has a driver for the URI.
pub(super) fn serve(uri: &str) -> bool {
    uri.parse().is_ok_and(|uri| entry(&uri).is_ok())
}

fn entry(uri: &Uri) -> Result<&'static DriverEntry> {
    DRIVERS.iter().find(|entry| (entry.serves)(&uri.scheme)).ok_or_else(|| {
        let examples: Vec<_> = DRIVERS.iter().map(|entry| entry.example).collect();
        Error::new(
            ErrorKind::NoConnect,
            ErrorOrigin::Library,
            format!("no driver serves '{uri}': try one of {}", examples.join(", ")),
        )
    })
}
