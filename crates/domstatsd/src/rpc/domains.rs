//! Which domains there are.

use std::{borrow::Cow, time::Duration};

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
use crate::host::Answer;

/// Returns the domains that match: libvirt's clients accept no old answer.
pub(super) async fn matching(
    client: &Client,
    filter: DomainFilter,
) -> Result<Vec<Domain>, Refusal> {
    let answer = client.server.passes.domains(filter, Duration::ZERO).await;
    check(&answer)?;
    Ok(answer.of_all.clone())
}

/// Refuses an answer that is about no hypervisor at all.
pub(super) fn check<T>(answer: &Answer<T>) -> Result<(), Refusal> {
    match answer.failures.first() {
        Some(failure) if answer.asked == answer.failures.len() => Err(refuse::unreachable(failure)),
        _ => Ok(()),
    }
}

/// Returns who a client means by these, for the hypervisors: those with their UUIDs. One that got
/// its UUID here is looked for, for no hypervisor knows it by that.
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

/// Returns whether a domain is the very one that a client means.
fn is_very(info: &DomainInfo, domain: &message::Domain<'_>) -> bool {
    let uuid = Uuid::from_bytes(domain.uuid);
    uuid_of(info) == uuid
        && info.name == domain.name.as_ref()
        && id(info).unwrap_or(-1) == domain.id
}

/// Returns the domain that a client means.
async fn listed(client: &Client, domain: &message::Domain<'_>) -> Result<Domain, Refusal> {
    let answer = client.server.passes.domains(DomainFilter::empty(), Duration::ZERO).await;
    if let Some(very) = answer.of_all.iter().find(|it| is_very(it.info(), domain)) {
        return Ok(very.clone());
    }
    let uuid = Uuid::from_bytes(domain.uuid);
    let is = |info: &DomainInfo| uuid_of(info) == uuid;
    the_one(&answer, is, &format!("the UUID {uuid}"), || not_there(domain))
}

/// Returns the error for a domain that a client knows, and that is not there.
pub(super) fn not_there(domain: &message::Domain<'_>) -> Refusal {
    let uuid = Uuid::from_bytes(domain.uuid);
    refuse::no_domain(format!("no domain with matching uuid '{uuid}' ({})", domain.name))
}

/// Returns the UUID by which clients know a domain. A QEMU that was started by hand may have none:
/// it gets one that stays the same as long as it runs, for all clients and across restarts of this daemon.
/// It is the FNV-1a hash of the name, a zero byte and the process's number in decimal, as a UUID of
/// version 8. No manager gives such UUIDs: the version is the mark of one that is made up.
pub(super) fn uuid_of(info: &DomainInfo) -> Uuid {
    info.uuid.unwrap_or_else(|| {
        let id = info.id.map(|id| id.to_string()).unwrap_or_default();
        let hash = fnv(info.name.bytes().chain([0]).chain(id.bytes()));
        uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
    })
}

/// Returns the FNV-1a hash of 128 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// Returns whether [`uuid_of`] can have made up a UUID.
fn is_made_up(uuid: Uuid) -> bool {
    uuid.get_version() == Some(uuid::Version::Custom)
}

/// Returns a domain as it is sent.
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
    // Which domains are started with the host or have snapshots is not known here: clients that
    // ask for that ask again without, as they do with an old libvirt.
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

/// Returns the one domain that is meant. Without it, a hypervisor that could not be asked may be
/// the one that has it.
fn the_one(
    answer: &Answer<Vec<Domain>>,
    is: impl Fn(&DomainInfo) -> bool,
    what: &str,
    not_there: impl Fn() -> Refusal,
) -> Result<Domain, Refusal> {
    let claimants: Vec<_> = answer.of_all.iter().filter(|domain| is(domain.info())).collect();
    let is_claimed = !claimants.is_empty();
    let meant = DomainInfo::meant(claimants, what, ErrorOrigin::Qemu).cloned();
    meant.map_err(|error| match (error.kind(), answer.failures.first()) {
        (ErrorKind::Ambiguous, _) => refuse::ambiguous(error.to_string()),
        (_, Some(failure)) => refuse::unreachable(failure),
        (_, None) if is_claimed => refuse::no_domain(error.to_string()),
        (_, None) => not_there(),
    })
}

async fn lookup(
    client: &Client,
    is: impl Fn(&DomainInfo) -> bool,
    what: &str,
    not_there: impl Fn() -> String,
) -> Result<message::Domain<'static>, Refusal> {
    let answer = client.server.passes.domains(DomainFilter::empty(), Duration::ZERO).await;
    let domain = the_one(&answer, is, what, || refuse::no_domain(not_there()))?;
    Ok(sent(domain.info()))
}

pub(super) async fn by_id(
    client: &Client,
    number: i32,
) -> Result<message::Domain<'static>, Refusal> {
    if let Ok(number) = u32::try_from(number)
        && let Some(domain) = client.server.passes.domain_by_id(number).await
    {
        return Ok(sent(domain.info()));
    }
    let answer = client.server.passes.domains(DomainFilter::empty(), Duration::ZERO).await;
    // Nobody gives a process its number: that of a domain whose user is not trusted is its own.
    let found = answer.of_all.iter().find(|domain| id(domain.info()) == Some(number));
    match (found, answer.failures.first()) {
        (Some(domain), _) => Ok(sent(domain.info())),
        (None, Some(failure)) => Err(refuse::unreachable(failure)),
        (None, None) => Err(refuse::no_domain(format!("no domain with matching id {number}"))),
    }
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

/// QEMU virtualizes whole machines.
pub(super) async fn os_type(
    client: &Client,
    domain: message::Domain<'_>,
) -> Result<Cow<'static, str>, Refusal> {
    listed(client, &domain).await?;
    Ok("hvm".into())
}

/// libvirt keeps such an image: there is none where it has not the domain.
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
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b"a".iter().copied()), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
