//! The statistics one by one, for programs that do not want to parse a document. libvirt has no such
//! functions.

use std::{
    ffi::{CString, c_char, c_double, c_int, c_longlong, c_uint, c_ulonglong, c_void},
    ptr,
};

use domstats::{DomainStats, Missing, StatsReport, Value, stats::Field};

use crate::{
    call::{Call, enter},
    connect::virConnectPtr,
    domain::virDomainPtr,
    error::Failure,
    memory::c_string,
    stats,
};

/// Not a value: the group in key is missing in whole or in part. word is the reason, such as
/// "timeout" or "unsupported", and value.s the explanation for people, which may be empty. key is the
/// name of the group, such as "cpu-total", or empty if the whole domain is missing.
pub const DOMSTATS_MISSING: c_int = 0;
/// Another domain has its name.
pub const DOMSTATS_CONFLICT_NAME: c_int = 1;
/// Another domain has its UUID.
pub const DOMSTATS_CONFLICT_UUID: c_int = 2;
/// The value is value.i.
pub const VIR_TYPED_PARAM_INT: c_int = 1;
/// The value is value.ui.
pub const VIR_TYPED_PARAM_UINT: c_int = 2;
/// The value is value.l.
pub const VIR_TYPED_PARAM_LLONG: c_int = 3;
/// The value is value.ul.
pub const VIR_TYPED_PARAM_ULLONG: c_int = 4;
/// The value is value.d.
pub const VIR_TYPED_PARAM_DOUBLE: c_int = 5;
/// The value is value.b, 0 or 1.
pub const VIR_TYPED_PARAM_BOOLEAN: c_int = 6;
/// The value is value.s. The bins of a hypervisor's histogram are numbers separated by spaces.
pub const VIR_TYPED_PARAM_STRING: c_int = 7;

/// A value; the type says which member holds it. They are those of libvirt's virTypedParameter.
#[repr(C)]
pub union domstatsNumber {
    /// VIR_TYPED_PARAM_INT
    pub i: c_int,
    /// VIR_TYPED_PARAM_UINT
    pub ui: c_uint,
    /// VIR_TYPED_PARAM_LLONG
    pub l: c_longlong,
    /// VIR_TYPED_PARAM_ULLONG
    pub ul: c_ulonglong,
    /// VIR_TYPED_PARAM_DOUBLE
    pub d: c_double,
    /// VIR_TYPED_PARAM_BOOLEAN
    pub b: c_char,
    /// VIR_TYPED_PARAM_STRING
    pub s: *const c_char,
}

/// A statistic. It and its texts are valid until the visitor returns. Newer versions of the library
/// may add members at the end.
#[repr(C)]
pub struct domstatsValue {
    /// The name of the domain.
    pub domain: *const c_char,
    /// Its UUID, or NULL if it has none.
    pub uuid: *const c_char,
    /// Its number, or (unsigned int) -1 if it is not active.
    pub id: c_uint,
    /// The type of the value, VIR_TYPED_PARAM_..., or DOMSTATS_MISSING.
    pub r#type: c_int,
    /// Its key, as libvirt spells it: "block.0.rd.reqs".
    pub key: *const c_char,
    /// Its unit: "ns", "s", "B", "KiB", "MiB/s", "J", "F", "count" for a number of things or events,
    /// empty if there is none.
    pub unit: *const c_char,
    /// The word of an enumeration, such as "running" for the number 1 of state.state; else NULL.
    pub word: *const c_char,
    /// The value.
    pub value: domstatsNumber,
    /// The user that the domain's QEMU runs as, from the kernel, or (unsigned int) -1 if unknown, as
    /// with libvirt.
    pub uid: c_uint,
    /// 1 if that user is not trusted, so that name and UUID may be those of another domain, else 0.
    pub untrusted: c_int,
    /// What another domain has too: DOMSTATS_CONFLICT_NAME, DOMSTATS_CONFLICT_UUID, or both added up.
    pub conflict: c_int,
}

/// A function that is called for each statistic, with the argument of the visit. It returns 0 to go
/// on, anything else to stop. It may call this library, and must not exit by longjmp() or by a C++
/// exception.
pub type domstatsVisitor =
    Option<extern "C" fn(value: *const domstatsValue, opaque: *mut c_void) -> c_int>;

/// Visits the statistics that virConnectGetAllDomainStats would return, domain by domain: first the
/// values, then what is missing. stats and flags are those of that function, except
/// DOMSTATS_FORMAT_JSON.
///
/// Returns the number of visits, or -1 on error.
#[unsafe(no_mangle)]
pub extern "C" fn domstatsConnectVisitAllDomainStats(
    conn: virConnectPtr,
    stats: c_uint,
    flags: c_uint,
    visitor: domstatsVisitor,
    opaque: *mut c_void,
) -> c_int {
    enter("domstatsConnectVisitAllDomainStats", -1, |call| {
        let mut visit = Visit::new(call, visitor, opaque)?;
        visit.report(&stats::of_all(call, conn, stats, flags)?);
        Ok(visit.visits)
    })
}

/// Visits the statistics that virDomainListGetStats would return; doms is a NULL-terminated array.
/// Otherwise this works like domstatsConnectVisitAllDomainStats.
///
/// Returns the number of visits, or -1 on error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn domstatsDomainListVisitStats(
    doms: *mut virDomainPtr,
    stats: c_uint,
    flags: c_uint,
    visitor: domstatsVisitor,
    opaque: *mut c_void,
) -> c_int {
    enter("domstatsDomainListVisitStats", -1, |call| {
        let mut visit = Visit::new(call, visitor, opaque)?;
        // SAFETY: the caller passes an array that ends with NULL, or NULL.
        visit.report(&unsafe { stats::of_list(call, doms, stats, flags) }?);
        Ok(visit.visits)
    })
}

/// A visit in progress.
struct Visit {
    visitor: extern "C" fn(*const domstatsValue, *mut c_void) -> c_int,
    opaque: *mut c_void,
    visits: c_int,
    /// Whether the visitor asked to stop.
    over: bool,
}

/// The identity of a domain, for C.
struct Identity {
    name: CString,
    uuid: Option<CString>,
    id: c_uint,
    uid: c_uint,
    untrusted: c_int,
    conflict: c_int,
}

impl Identity {
    fn new(domain: &domstats::DomainInfo) -> Self {
        Self {
            name: c_string(&domain.name),
            uuid: domain.uuid.map(|uuid| c_string(&uuid.to_string())),
            id: domain.id.unwrap_or(c_uint::MAX),
            uid: domain.uid.unwrap_or(c_uint::MAX),
            untrusted: domain.untrusted.into(),
            conflict: domain.conflict.bits().into(),
        }
    }
}

impl Visit {
    fn new(call: Call, visitor: domstatsVisitor, opaque: *mut c_void) -> Result<Self, Failure> {
        let visitor = visitor.ok_or_else(|| call.invalid("visitor", "not be NULL"))?;
        Ok(Self { visitor, opaque, visits: 0, over: false })
    }

    fn report(&mut self, report: &StatsReport) {
        for record in &report.domains {
            self.record(record);
        }
        for domain in &report.missing {
            self.missing(&Identity::new(&domain.domain), "", &domain.missing);
        }
    }

    fn record(&mut self, record: &DomainStats) {
        let domain = Identity::new(&record.domain);
        record.visit_params(|key, field, value| self.value(&domain, key, field, value));
        for group in &record.missing {
            self.missing(&domain, &group.group, &group.missing);
        }
    }

    fn value(&mut self, domain: &Identity, key: &str, field: Option<&Field>, value: &Value<'_>) {
        let (mut text, mut word) = (None, None);
        let (r#type, value) = match value {
            Value::Int(i) => (VIR_TYPED_PARAM_INT, domstatsNumber { i: *i }),
            Value::UInt(ui) => (VIR_TYPED_PARAM_UINT, domstatsNumber { ui: *ui }),
            Value::LLong(l) => (VIR_TYPED_PARAM_LLONG, domstatsNumber { l: *l }),
            Value::ULLong(ul) => (VIR_TYPED_PARAM_ULLONG, domstatsNumber { ul: *ul }),
            Value::Double(d) => (VIR_TYPED_PARAM_DOUBLE, domstatsNumber { d: *d }),
            Value::Boolean(b) => (VIR_TYPED_PARAM_BOOLEAN, domstatsNumber { b: c_char::from(*b) }),
            Value::Word { code, word: known } => {
                word = known.map(c_string);
                (VIR_TYPED_PARAM_INT, domstatsNumber { i: *code })
            }
            Value::String(known) => {
                let s = text.insert(c_string(known)).as_ptr();
                (VIR_TYPED_PARAM_STRING, domstatsNumber { s })
            }
            // The flat form has no other.
            _ => return,
        };
        let unit = field.map_or("", |field| field.unit.symbol());
        self.call(
            domain,
            r#type,
            key,
            unit,
            word.as_deref().map_or(ptr::null(), |w| w.as_ptr()),
            value,
        );
        drop(text);
    }

    fn missing(&mut self, domain: &Identity, what: &str, missing: &Missing) {
        let (word, text) = (c_string(missing.reason.word()), c_string(&missing.text));
        let value = domstatsNumber { s: text.as_ptr() };
        self.call(domain, DOMSTATS_MISSING, what, "", word.as_ptr(), value);
    }

    fn call(
        &mut self,
        domain: &Identity,
        r#type: c_int,
        key: &str,
        unit: &str,
        word: *const c_char,
        value: domstatsNumber,
    ) {
        if self.over {
            return;
        }
        let (key, unit) = (c_string(key), c_string(unit));
        let value = domstatsValue {
            domain: domain.name.as_ptr(),
            uuid: domain.uuid.as_ref().map_or(ptr::null(), |uuid| uuid.as_ptr()),
            id: domain.id,
            r#type,
            key: key.as_ptr(),
            unit: unit.as_ptr(),
            word,
            value,
            uid: domain.uid,
            untrusted: domain.untrusted,
            conflict: domain.conflict,
        };
        self.visits = self.visits.saturating_add(1);
        self.over = (self.visitor)(&raw const value, self.opaque) != 0;
    }
}
