//! The table: every procedure that is served, and what answers it.

use domstats_rpc::{Packet, procedure::*, xdr::Fault};

use super::{
    connect::{self, Client},
    device, domains, node,
    refuse::{self, Refusal},
    stats, writes, xml,
};

/// What a procedure is called that libvirt does not have, or that is not known here.
pub(super) const UNKNOWN: &str = "unknown";

/// Makes `answer` and `name` of a table.
macro_rules! served {
    ($($(#[$when:ident])? $name:ident => $handler:path,)*) => {
        /// Returns the packet with the answer to a call.
        pub(super) async fn answer(
            client: &Client,
            serial: u32,
            packet: &Packet<'_>,
        ) -> Result<Vec<u8>, Refusal> {
            match packet.header.procedure {
                $($name::NUMBER => {
                    served!(@check client $($when)?);
                    let args = packet.decode().map_err(|_| refuse::undecodable())?;
                    let result = $handler(client, args).await?;
                    reply::<$name>(serial, &result).map_err(unsendable)
                })*
                number => Err(match writes::write(number) {
                    Some(writes::Write(_, origin, function)) => {
                        client.check_open()?;
                        refuse::read_only(*origin, function)
                    }
                    None => refuse::unknown_procedure(number),
                }),
            }
        }

        /// Returns the name of a procedure: of one that would write, libvirt's function.
        pub(super) fn name(number: i32) -> &'static str {
            match number {
                $($name::NUMBER => stringify!($name),)*
                _ => writes::write(number).map_or(UNKNOWN, |writes::Write(_, _, function)| function),
            }
        }
    };
    (@check $client:ident early) => {};
    (@check $client:ident) => { $client.check_open()? };
}

// `#[early]`: also before the hypervisor was opened.
served! {
    #[early] ConnectOpen => connect::open,
    #[early] ConnectClose => connect::close,
    ConnectGetType => connect::driver,
    ConnectGetVersion => connect::version,
    ConnectGetMaxVcpus => connect::max_vcpus,
    NodeGetInfo => node::info,
    DomainGetXmlDesc => xml::description,
    DomainGetInfo => device::summary,
    DomainGetMaxMemory => device::max_memory,
    DomainGetMaxVcpus => device::max_vcpus,
    DomainGetOsType => device::os_type,
    DomainGetVcpus => device::vcpus,
    ConnectListDefinedDomains => domains::inactive_names,
    DomainLookupById => domains::by_id,
    DomainLookupByName => domains::by_name,
    DomainLookupByUuid => domains::by_uuid,
    ConnectNumOfDefinedDomains => domains::count_inactive,
    ConnectListDomains => domains::active_ids,
    ConnectNumOfDomains => domains::count_active,
    ConnectGetHostname => node::hostname,
    #[early] ConnectSupportsFeature => connect::feature,
    DomainBlockStats => device::block_stats,
    DomainInterfaceStats => device::interface_stats,
    #[early] AuthList => connect::auth_types,
    NodeGetFreeMemory => node::free_memory,
    ConnectDomainEventRegister => connect::register,
    ConnectDomainEventDeregister => connect::deregister,
    ConnectGetUri => connect::uri,
    ConnectIsSecure => connect::is_secure,
    DomainIsActive => domains::is_active,
    DomainIsPersistent => domains::is_persistent,
    ConnectGetLibVersion => connect::lib_version,
    DomainMemoryStats => device::memory_stats,
    ConnectDomainEventRegisterAny => connect::register_any,
    ConnectDomainEventDeregisterAny => connect::deregister_any,
    DomainGetVcpusFlags => device::count_vcpus,
    DomainGetState => device::state,
    DomainBlockStatsFlags => device::block_params,
    ConnectListAllDomains => domains::list,
    ConnectListAllStoragePools => node::storage_pools,
    NodeGetCpuMap => node::cpu_map,
    ConnectDomainEventCallbackRegisterAny => connect::register_callback,
    ConnectDomainEventCallbackDeregisterAny => connect::deregister_callback,
    ConnectGetAllDomainStats => stats::all,
    ConnectRegisterCloseCallback => connect::close_callback,
    ConnectUnregisterCloseCallback => connect::close_callback,
}

/// An answer that exceeds one of libvirt's limits.
fn unsendable(_: Fault) -> Refusal {
    refuse::too_large()
}
