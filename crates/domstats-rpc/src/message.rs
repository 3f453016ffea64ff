//! The structures that arguments and results are made of.

use std::{borrow::Cow, fmt};

use crate::{
    limits,
    xdr::{Chars, Decoder, Encoder, Fault, List, Xdr, xdr_struct},
};

xdr_struct! {
    /// A domain. Servers go by the UUID alone.
    #[derive(Eq)]
    Domain<'a> {
        /// Its name.
        name: Cow<'a, str>,
        /// Its UUID.
        uuid: [u8; 16],
        /// Its id, -1 if it is inactive.
        id: i32,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectOpen`](crate::procedure::ConnectOpen).
    #[derive(Eq)]
    OpenArgs<'a> {
        /// The URI, without the way to the server; empty for the server's default.
        name: Option<Cow<'a, str>>,
        /// 1 for a connection that cannot change anything.
        flags: u32,
    }
}

/// The flag of a connection that cannot change anything.
pub const OPEN_READ_ONLY: u32 = 1;

/// Ways to authenticate, by [`AUTH_SASL`] and the like.
pub type AuthTypes = List<i32, { limits::AUTH_TYPES }>;

/// No authentication.
pub const AUTH_NONE: i32 = 0;
/// SASL: [`AuthSaslInit`](crate::procedure::AuthSaslInit) and its steps.
pub const AUTH_SASL: i32 = 1;
/// polkit: [`AuthPolkit`](crate::procedure::AuthPolkit).
pub const AUTH_POLKIT: i32 = 2;

/// Data of a step of SASL.
pub type SaslData = Chars<{ limits::SASL_DATA }>;

xdr_struct! {
    /// Arguments of [`AuthSaslStart`](crate::procedure::AuthSaslStart).
    #[derive(Eq)]
    SaslStartArgs<'a> {
        /// The mechanism.
        mechanism: Cow<'a, str>,
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data.
        data: SaslData,
    }
}

xdr_struct! {
    /// Arguments of [`AuthSaslStep`](crate::procedure::AuthSaslStep).
    #[derive(Eq)]
    SaslStepArgs {
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data.
        data: SaslData,
    }
}

xdr_struct! {
    /// The server's step of SASL.
    #[derive(Eq)]
    SaslReply {
        /// Whether the client is known now.
        complete: bool,
        /// Whether there are no data, not even empty ones.
        nil: bool,
        /// The data.
        data: SaslData,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetState`](crate::procedure::DomainGetState).
    #[derive(Eq)]
    StateArgs<'a> {
        /// The domain.
        domain: Domain<'a>,
        /// 0.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetState`](crate::procedure::DomainGetState).
    #[derive(Eq)]
    StateReply {
        /// `virDomainState`.
        state: i32,
        /// Its reason.
        reason: i32,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectListAllDomains`](crate::procedure::ConnectListAllDomains).
    #[derive(Eq)]
    ListDomainsArgs {
        /// Whether the domains are wanted, not only their number.
        need_results: bool,
        /// `virConnectListAllDomainsFlags`.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`ConnectListAllDomains`](crate::procedure::ConnectListAllDomains).
    ListedDomains<'a> {
        /// The domains.
        domains: List<Domain<'a>, { limits::DOMAINS }>,
        /// Their number.
        count: u32,
    }
}

xdr_struct! {
    /// Arguments of [`ConnectGetAllDomainStats`](crate::procedure::ConnectGetAllDomainStats).
    DomainStatsArgs<'a> {
        /// The domains; empty for all.
        domains: List<Domain<'a>, { limits::DOMAINS }>,
        /// `virDomainStatsTypes`; 0 for all.
        stats: u32,
        /// `virConnectGetAllDomainStatsFlags`.
        flags: u32,
    }
}

/// Result of [`ConnectGetAllDomainStats`](crate::procedure::ConnectGetAllDomainStats).
pub type StatsRecords<'a> = List<StatsRecord<'a>, { limits::DOMAINS }>;

xdr_struct! {
    /// The statistics of one domain.
    StatsRecord<'a> {
        /// The domain.
        domain: Domain<'a>,
        /// Its statistics.
        params: List<TypedParam<'a>, { limits::STATS_PARAMS }>,
    }
}

xdr_struct! {
    /// A value with its name.
    TypedParam<'a> {
        /// The name, such as `block.0.rd.reqs`.
        field: Cow<'a, str>,
        /// The value.
        value: ParamValue<'a>,
    }
}

/// A value of one of the seven types (`virTypedParameterType`).
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue<'a> {
    /// Type 1.
    Int(i32),
    /// Type 2.
    UInt(u32),
    /// Type 3.
    LLong(i64),
    /// Type 4.
    ULLong(u64),
    /// Type 5.
    Double(f64),
    /// Type 6.
    Boolean(bool),
    /// Type 7.
    String(Cow<'a, str>),
}

impl<'a> Xdr<'a> for ParamValue<'a> {
    const MIN_SIZE: usize = 8;

    fn encode(&self, out: &mut Encoder) {
        let mut put = |number: i32, value: &dyn Fn(&mut Encoder)| {
            number.encode(out);
            value(out);
        };
        match self {
            Self::Int(value) => put(1, &|out| value.encode(out)),
            Self::UInt(value) => put(2, &|out| value.encode(out)),
            Self::LLong(value) => put(3, &|out| value.encode(out)),
            Self::ULLong(value) => put(4, &|out| value.encode(out)),
            Self::Double(value) => put(5, &|out| value.encode(out)),
            Self::Boolean(value) => put(6, &|out| value.encode(out)),
            Self::String(value) => put(7, &|out| value.encode(out)),
        }
    }

    fn decode(input: &mut Decoder<'a>) -> Result<Self, Fault> {
        match i32::decode(input)? {
            1 => Xdr::decode(input).map(Self::Int),
            2 => Xdr::decode(input).map(Self::UInt),
            3 => Xdr::decode(input).map(Self::LLong),
            4 => Xdr::decode(input).map(Self::ULLong),
            5 => Xdr::decode(input).map(Self::Double),
            6 => Xdr::decode(input).map(Self::Boolean),
            7 => Xdr::decode(input).map(Self::String),
            number => Err(Fault::UnknownType(number)),
        }
    }
}

xdr_struct! {
    /// A network, in an error about one.
    #[derive(Eq)]
    Network<'a> {
        /// Its name.
        name: Cow<'a, str>,
        /// Its UUID.
        uuid: [u8; 16],
    }
}

xdr_struct! {
    /// Why a call failed (`virError`).
    #[derive(Eq)]
    RemoteError<'a> {
        /// `virErrorNumber`.
        code: i32,
        /// `virErrorDomain`: the part that reports it.
        origin: i32,
        /// The sentence. Always to be sent: some clients read it without looking whether it is there.
        message: Option<Cow<'a, str>>,
        /// `virErrorLevel`: 2 for an error.
        level: i32,
        /// The domain that it is about.
        domain: Option<Domain<'a>>,
        /// The pattern of the sentence.
        str1: Option<Cow<'a, str>>,
        /// What the pattern was filled with.
        str2: Option<Cow<'a, str>>,
        /// More of it.
        str3: Option<Cow<'a, str>>,
        /// -1, mostly.
        int1: i32,
        /// -1, mostly.
        int2: i32,
        /// The network that it is about.
        network: Option<Network<'a>>,
    }
}

impl<'a> RemoteError<'a> {
    /// Returns an error with a sentence, made up as libvirt does it.
    #[must_use]
    pub fn new(code: i32, origin: i32, message: impl Into<Cow<'a, str>>) -> Self {
        let message = message.into();
        Self {
            code,
            origin,
            message: Some(message.clone()),
            level: 2,
            domain: None,
            str1: Some("%s".into()),
            str2: Some(message),
            str3: None,
            int1: -1,
            int2: -1,
            network: None,
        }
    }

    /// Returns the sentence.
    #[must_use]
    pub fn sentence(&self) -> &str {
        self.message.as_deref().unwrap_or("no reason given")
    }

    /// Returns whether the server does not know the procedure.
    #[must_use]
    pub fn is_unknown_procedure(&self) -> bool {
        self.code == code::RPC && self.sentence().starts_with("unknown procedure")
    }

    /// Returns whether the reply would have been longer than a packet may be: less is to be asked.
    #[must_use]
    pub fn is_reply_too_large(&self) -> bool {
        self.code == code::RPC && self.sentence().starts_with("Unable to encode message payload")
    }
}

impl fmt::Display for RemoteError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Numbers of errors (`virErrorNumber`) that decide what a client does next.
pub mod code {
    /// The message was not understood, or could not be sent.
    pub const RPC: i32 = 39;
}
