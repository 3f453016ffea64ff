//! Domains: identity, state and lists.

use std::borrow::Cow;

use crate::{
    limits,
    xdr::{List, xdr_struct},
};

xdr_struct! {
    /// A domain. Servers identify it by the UUID alone.
    #[doc(alias = "remote_nonnull_domain")]
    #[derive(Eq)]
    Domain<'a> {
        /// Its name.
        name: Cow<'a, str>,
        /// Its UUID.
        uuid: [u8; 16],
        /// Its id, from 1; -1 if it is inactive.
        id: i32,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetState`](crate::procedure::DomainGetState).
    #[doc(alias = "remote_domain_get_state_args")]
    #[derive(Eq)]
    StateArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// No flags are defined: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetState`](crate::procedure::DomainGetState).
    #[doc(alias = "remote_domain_get_state_ret")]
    #[derive(Eq)]
    StateReply {
        /// The state, 0 to 7: 1 for running, 5 for shut off.
        #[doc(alias = "virDomainState")]
        state: i32,
        /// The reason for the state, from 0: what a number means depends on the state.
        reason: i32,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectListAllDomains`](crate::procedure::ConnectListAllDomains).
    #[doc(alias = "remote_connect_list_all_domains_args")]
    #[derive(Eq)]
    ListDomainsArgs {
        /// Whether to return the domains, not only their number.
        need_results: bool,
        /// Which domains: 1 for active ones, 2 for inactive ones, and so on; 0 for all.
        #[doc(alias = "virConnectListAllDomainsFlags")]
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`ConnectListAllDomains`](crate::procedure::ConnectListAllDomains).
    #[doc(alias = "remote_connect_list_all_domains_ret")]
    #[derive(Eq)]
    ListedDomains<'a> {
        /// The domains; none if only their number was requested.
        domains: List<Domain<'a>, { limits::DOMAINS }>,
        /// Their number, 0 to [`limits::DOMAINS`].
        #[doc(alias = "ret")]
        count: u32,
    }
}
