//! The table of all procedures that are served, with their handlers.
//!
//! A call that a libvirt can answer better than statistics is relayed to it first, as it came.

use domstats_rpc::{
    Packet, Xdr,
    procedure::{self, *},
    xdr::{Decoder, Fault},
};

use super::{
    connect::{self, Client},
    device, domains, interface, node,
    refuse::{self, Refusal},
    stats, writes, xml,
};
use crate::hypervisors::Scope;

/// The name of an unknown procedure.
pub(super) const UNKNOWN: &str = "unknown";

/// Makes `answer` and `name` from a table.
macro_rules! served {
    ($($(#[$how:ident])? $name:ident $(=> $handler:path)?,)*) => {
        /// Returns the packet that replies to a call.
        pub(super) async fn answer(
            client: &Client,
            serial: u32,
            packet: &Packet<'_>,
        ) -> Result<Vec<u8>, Refusal> {
            match packet.header.procedure {
                $($name::NUMBER => {
                    served!(@check client $($how)?);
                    let args = packet.decode::<<$name as Procedure>::Args<'_>>();
                    let args = args.map_err(|_| refuse::undecodable())?;
                    if let Some(scope) = served!(@scope $($how)?)
                        && let Some(reply) = relay::<$name>(client, serial, packet, scope).await?
                    {
                        return Ok(reply);
                    }
                    served!(@answer client serial args $name $($handler)?)
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

        /// Returns the name of a procedure; for one that writes, libvirt's function.
        pub(super) fn name(number: i32) -> &'static str {
            match number {
                $($name::NUMBER => stringify!($name),)*
                _ => writes::write(number).map_or(UNKNOWN, |writes::Write(_, _, function)| function),
            }
        }
    };
    (@check $client:ident early) => {};
    (@check $client:ident $($how:ident)?) => { $client.check_open()? };
    (@scope host) => { Some(Scope::Host) };
    (@scope monitor) => { Some(Scope::Monitor) };
    (@scope domain) => { Some(Scope::Domain) };
    (@scope domains) => { Some(Scope::Domains) };
    (@scope counters) => { Some(Scope::Counters) };
    (@scope $($how:ident)?) => { None };
    (@answer $client:ident $serial:ident $args:ident $name:ident $handler:path) => {{
        let result = $handler($client, $args).await?;
        reply::<$name>($serial, &result).map_err(unsendable)
    }};
    (@answer $client:ident $serial:ident $args:ident $name:ident) => {{
        let _ = $args;
        Err(refuse::unknown_procedure($name::NUMBER))
    }};
}

// `#[early]`: also before the hypervisor was opened.
// `#[host]`, `#[domain]`: relayed to a libvirt that has the host or the domain; `#[monitor]`, where libvirt may
// have to ask the domain's monitor; `#[counters]`, where a pass has the same values and answers while the monitor
// is stuck. `#[domains]`: relayed if there is no other hypervisor. Without libvirt, the handler answers; a
// procedure without a handler is not served.
served! {
    #[early] ConnectOpen => connect::open,
    #[early] ConnectClose => connect::close,
    ConnectGetType => connect::driver,
    #[host] ConnectGetVersion => connect::version,
    #[host] ConnectGetMaxVcpus => connect::max_vcpus,
    #[host] NodeGetInfo => node::info,
    #[host] ConnectGetCapabilities,
    #[domain] DomainGetXmlDesc => xml::description,
    #[domain] DomainGetAutostart,
    #[domain] DomainGetInfo => device::summary,
    #[domain] DomainGetMaxMemory => device::max_memory,
    #[domain] DomainGetMaxVcpus => device::max_vcpus,
    #[domain] DomainGetOsType => domains::os_type,
    #[domain] DomainGetVcpus => device::vcpus,
    #[domains] ConnectListDefinedDomains => domains::inactive_names,
    #[domains] DomainLookupById => domains::by_id,
    #[domains] DomainLookupByName => domains::by_name,
    #[domains] DomainLookupByUuid => domains::by_uuid,
    #[domains] ConnectNumOfDefinedDomains => domains::count_inactive,
    #[domains] ConnectListDomains => domains::active_ids,
    #[domains] ConnectNumOfDomains => domains::count_active,
    #[host] ConnectGetHostname => node::hostname,
    #[early] ConnectSupportsFeature => connect::feature,
    #[counters] DomainBlockStats => device::block_stats,
    #[domain] DomainInterfaceStats => interface::stats,
    #[early] AuthList => connect::auth_types,
    #[host] NodeGetFreeMemory => node::free_memory,
    ConnectDomainEventRegister => connect::register,
    ConnectDomainEventDeregister => connect::deregister,
    ConnectGetUri => connect::uri,
    #[domain] DomainGetSecurityLabel,
    #[host] NodeGetSecurityModel,
    ConnectIsSecure => connect::is_secure,
    #[domain] DomainIsActive => domains::is_active,
    #[domain] DomainIsPersistent => domains::is_persistent,
    #[host] ConnectGetLibVersion => connect::lib_version,
    #[counters] DomainMemoryStats => device::memory_stats,
    #[monitor] DomainGetJobInfo,
    ConnectDomainEventRegisterAny => connect::register_any,
    ConnectDomainEventDeregisterAny => connect::deregister_any,
    #[domain] DomainHasManagedSaveImage => domains::has_managed_save,
    #[monitor] DomainGetBlockInfo => device::block_info,
    #[domain] DomainGetVcpusFlags => device::count_vcpus,
    #[domain] DomainGetState => device::state,
    #[host] NodeGetCpuStats => node::cpu_stats,
    #[host] NodeGetMemoryStats => node::memory_stats,
    #[domain] DomainGetControlInfo,
    #[domain] DomainGetVcpuPinInfo,
    #[counters] DomainBlockStatsFlags => device::block_params,
    #[monitor] DomainGetBlockIoTune,
    #[domain] DomainGetCpuStats,
    #[monitor] DomainGetDiskErrors,
    #[domain] DomainGetMetadata,
    #[domains] ConnectListAllDomains => domains::list,
    ConnectListAllStoragePools => node::storage_pools,
    #[host] NodeGetCpuMap => node::cpu_map,
    #[monitor] DomainGetJobStats,
    ConnectDomainEventCallbackRegisterAny => connect::register_callback,
    ConnectDomainEventCallbackDeregisterAny => connect::deregister_callback,
    ConnectGetAllDomainStats => stats::all,
    #[monitor] DomainGetIothreadInfo,
    #[domain] DomainInterfaceAddresses,
    ConnectRegisterCloseCallback => connect::close_callback,
    ConnectUnregisterCloseCallback => connect::close_callback,
    #[domain] DomainGetMessages,
    #[domain] DomainGetAutostartOnce,
}

/// Relays a call to libvirt. Returns the packet with its reply; `None` if there is no libvirt to ask.
async fn relay<P: Procedure>(
    client: &Client,
    serial: u32,
    packet: &Packet<'_>,
    scope: Scope,
) -> Result<Option<Vec<u8>>, Refusal> {
    let (hypervisors, procedure) = (&client.server.hypervisors, ProcedureId::of::<P>());
    match hypervisors.relay(scope, procedure, packet.payload.to_vec()).await {
        None => Ok(None),
        Some(Err(failure)) => Err(refuse::unreachable(&failure)),
        Some(Ok(Err(error))) => Err(error),
        // A client closes its connection for a reply that it cannot decode.
        Some(Ok(Ok(result))) => match P::Reply::decode(&mut Decoder::new(&result)) {
            Ok(_) => procedure::reply_of(procedure, serial, &result).map(Some).map_err(unsendable),
            Err(fault) => Err(refuse::internal(format!("libvirt's answer: {fault}"))),
        },
    }
}

/// Returns the error for a reply that exceeds one of libvirt's limits.
fn unsendable(_: Fault) -> Refusal {
    refuse::too_large()
}
