//! Which domains there are.

use std::{borrow::Cow, sync::Arc};

use domstats::{Domain, DomainFilter, DomainInfo, ErrorKind, ErrorOrigin, Uuid, wire};
use domstats_rpc::{
    limits,
    message::{self, DomainFlags, ListDomainsArgs, ListedDomains},
    xdr::List,
};

use super::{
    connect::Client,
    refuse::{self, Refusal},
};
use crate::hypervisors::Gathered;

/// Returns all domains, as they are now.
async fn all(client: &Client) -> Arc<Gathered<Vec<Domain>>> {
    client.server.hypervisors.domains(DomainFilter::empty()).await
}

/// Returns the domains that match; an error if no hypervisor could be asked.
async fn matching(client: &Client, filter: DomainFilter) -> Result<Vec<Domain>, Refusal> {
    let domains = client.server.hypervisors.domains(filter).await;
    check(&domains)?;
    Ok(domains.value.clone())
}

/// Refuses an answer of no hypervisor at all.
pub(super) fn check<T>(gathered: &Gathered<T>) -> Result<(), Refusal> {
    match gathered.unreachable() {
        Some([first, ..]) => Err(refuse::unreachable(first)),
        _ => Ok(()),
    }
}

/// Returns the error for a domain that was not found: a hypervisor that could not be asked may have it.
pub(super) fn not_found<T>(gathered: &Gathered<T>, refusal: impl FnOnce() -> Refusal) -> Refusal {
    gathered.failures.first().map_or_else(refusal, refuse::unreachable)
}

/// Returns the domains that a client names, as the hypervisors know them. A UUID that was made up here is
/// looked up, because no hypervisor knows it.
pub(super) async fn meant(
    client: &Client,
    wanted: &[message::Domain<'_>],
) -> Result<Vec<DomainInfo>, Refusal> {
    let is_made_up = |domain: &message::Domain<'_>| is_made_up(Uuid::from_bytes(domain.uuid));
    let known = match wanted.iter().any(is_made_up) {
        true => matching(client, DomainFilter::empty()).await?,
        false => Vec::new(),
    };
    let meant = |domain: &message::Domain<'_>| {
        if !is_made_up(domain) {
            return wire::domain_info(domain);
        }
        let mut very = known.iter().map(Domain::info).filter(|info| is_very(info, domain));
        very.next().cloned().unwrap_or_else(|| wire::domain_info(domain))
    };
    Ok(wanted.iter().map(meant).collect())
}

/// Returns whether a domain is the very one that a client names.
fn is_very(info: &DomainInfo, domain: &message::Domain<'_>) -> bool {
    let uuid = Uuid::from_bytes(domain.uuid);
    uuid_of(info) == uuid
        && info.name == domain.name.as_ref()
        && id(info).unwrap_or(-1) == domain.id
}

/// Returns the domain that a client names.
async fn listed(client: &Client, domain: &message::Domain<'_>) -> Result<Domain, Refusal> {
    let all = all(client).await;
    if let Some(very) = all.value.iter().find(|it| is_very(it.info(), domain)) {
        return Ok(very.clone());
    }
    let uuid = Uuid::from_bytes(domain.uuid);
    let is = |info: &DomainInfo| uuid_of(info) == uuid;
    the_one(&all, is, &format!("the UUID {uuid}"), || not_there(domain))
}

/// Returns the error for a domain that no longer exists.
pub(super) fn not_there(domain: &message::Domain<'_>) -> Refusal {
    let uuid = Uuid::from_bytes(domain.uuid);
    refuse::no_domain(format!("no domain with matching uuid '{uuid}' ({})", domain.name))
}

/// Returns the UUID by which clients know a domain. A QEMU that was started by hand may have none: it gets one
/// that stays the same as long as it runs, for all clients and across restarts of this daemon: the FNV-1a hash
/// of the name, a zero byte and the process id in decimal, as a UUID of version 8. No manager uses that
/// version, so it marks a made-up UUID.
pub(super) fn uuid_of(info: &DomainInfo) -> Uuid {
    info.uuid.unwrap_or_else(|| {
        let id = info.id.map(|id| id.to_string()).unwrap_or_default();
        let hash = fnv(info.name.bytes().chain([0]).chain(id.bytes()));
        uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
    })
}

/// Returns the 128-bit FNV-1a hash.
fn fnv(bytes: impl Iterator<Item = u8>) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// Returns whether a UUID is one that [`uuid_of`] makes up.
fn is_made_up(uuid: Uuid) -> bool {
    uuid.get_version() == Some(uuid::Version::Custom)
}

/// Returns a domain for the wire.
pub(super) fn sent(info: &DomainInfo) -> message::Domain<'static> {
    message::Domain {
        name: Cow::Owned(info.name.to_string()),
        uuid: uuid_of(info).into_bytes(),
        id: id(info).unwrap_or(-1),
    }
}

fn id(info: &DomainInfo) -> Option<i32> {
    info.id.and_then(|id| i32::try_from(id).ok())
}

pub(super) async fn list(
    client: &Client,
    args: ListDomainsArgs,
) -> Result<ListedDomains<'static>, Refusal> {
    let filter = DomainFilter::from_bits_retain(args.flags);
    // Autostart and snapshots are not known here: clients that filter by them retry without, as they do with
    // an old libvirt.
    let unknown = filter.difference(DomainFilter::all_known());
    if !unknown.is_empty() {
        return Err(refuse::unsupported_flags(unknown.bits(), "qemuConnectListAllDomains"));
    }
    let domains = matching(client, filter).await?;
    if domains.len() > limits::DOMAINS {
        return Err(refuse::internal(format!(
            "Too many domains '{}' for limit '{}'",
            domains.len(),
            limits::DOMAINS
        )));
    }
    let count = domains.len() as u32;
    let listed = if args.need_results {
        domains.iter().map(|domain| sent(domain.info())).collect()
    } else {
        Vec::new()
    };
    Ok(ListedDomains { domains: List(listed), count })
}

/// Returns the one domain for which `is` holds.
fn the_one(
    all: &Gathered<Vec<Domain>>,
    is: impl Fn(&DomainInfo) -> bool,
    what: &str,
    not_there: impl Fn() -> Refusal,
) -> Result<Domain, Refusal> {
    let claimants: Vec<_> = all.value.iter().filter(|domain| is(domain.info())).collect();
    let is_claimed = !claimants.is_empty();
    let meant = DomainInfo::meant(claimants, what, ErrorOrigin::Qemu).cloned();
    meant.map_err(|error| match error.kind() {
        ErrorKind::Ambiguous => refuse::ambiguous(error.to_string()),
        _ if is_claimed => not_found(all, || refuse::no_domain(error.to_string())),
        _ => not_found(all, not_there),
    })
}

async fn lookup(
    client: &Client,
    is: impl Fn(&DomainInfo) -> bool,
    what: &str,
    not_there: impl Fn() -> String,
) -> Result<message::Domain<'static>, Refusal> {
    let domain = the_one(&*all(client).await, is, what, || refuse::no_domain(not_there()))?;
    Ok(sent(domain.info()))
}

pub(super) async fn by_id(
    client: &Client,
    number: i32,
) -> Result<message::Domain<'static>, Refusal> {
    if let Ok(number) = u32::try_from(number)
        && let Some(domain) = client.server.hypervisors.domain_by_id(number).await
    {
        return Ok(sent(domain.info()));
    }
    let all = all(client).await;
    // Nobody gives a process its number, so that of an untrusted user's domain counts too.
    let found = all.value.iter().find(|domain| id(domain.info()) == Some(number));
    let not_there = || refuse::no_domain(format!("no domain with matching id {number}"));
    found.map(|domain| sent(domain.info())).ok_or_else(|| not_found(&all, not_there))
}

pub(super) async fn by_name(
    client: &Client,
    name: Cow<'_, str>,
) -> Result<message::Domain<'static>, Refusal> {
    let is = |info: &DomainInfo| info.name == name.as_ref();
    let not_there = || format!("no domain with matching name '{name}'");
    lookup(client, is, &format!("the name '{name}'"), not_there).await
}

pub(super) async fn by_uuid(
    client: &Client,
    uuid: [u8; 16],
) -> Result<message::Domain<'static>, Refusal> {
    let uuid = Uuid::from_bytes(uuid);
    let is = |info: &DomainInfo| uuid_of(info) == uuid;
    let not_there = || format!("no domain with matching uuid '{uuid}'");
    lookup(client, is, &format!("the UUID {uuid}"), not_there).await
}

pub(super) async fn active_ids(
    client: &Client,
    most: i32,
) -> Result<List<i32, { limits::DOMAINS }>, Refusal> {
    let most = at_most(most, "maxids")?;
    let domains = matching(client, DomainFilter::ACTIVE).await?;
    Ok(List(domains.iter().filter_map(|domain| id(domain.info())).take(most).collect()))
}

pub(super) async fn inactive_names(
    client: &Client,
    most: i32,
) -> Result<List<Cow<'static, str>, { limits::DOMAINS }>, Refusal> {
    let most = at_most(most, "maxnames")?;
    let domains = matching(client, DomainFilter::INACTIVE).await?;
    let names = domains.iter().map(|domain| Cow::Owned(domain.name().to_owned()));
    Ok(List(names.take(most).collect()))
}

fn at_most(most: i32, what: &str) -> Result<usize, Refusal> {
    match usize::try_from(most) {
        Ok(most) if most <= limits::DOMAINS => Ok(most),
        _ => Err(refuse::over_limit(what)),
    }
}

pub(super) async fn count_active(client: &Client, (): ()) -> Result<i32, Refusal> {
    count(client, DomainFilter::ACTIVE).await
}

pub(super) async fn count_inactive(client: &Client, (): ()) -> Result<i32, Refusal> {
    count(client, DomainFilter::INACTIVE).await
}

async fn count(client: &Client, filter: DomainFilter) -> Result<i32, Refusal> {
    Ok(i32::try_from(matching(client, filter).await?.len()).unwrap_or(i32::MAX))
}

pub(super) async fn is_active(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<bool, Refusal> {
    Ok(listed(client, &domain).await?.id().is_some())
}

pub(super) async fn is_persistent(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<bool, Refusal> {
    Ok(listed(client, &domain).await?.info().persistent)
}

/// QEMU always virtualizes whole machines.
pub(super) async fn os_type(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<Cow<'static, str>, Refusal> {
    listed(client, &domain).await?;
    Ok("hvm".into())
}

/// libvirt keeps such images: a domain that libvirt does not have has none.
pub(super) async fn has_managed_save(
    client: &Client,
    args: DomainFlags<'_>,
) -> Result<bool, Refusal> {
    listed(client, &args.domain).await?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv(b"a".iter().copied()), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
