//! The entry of every C function.

use std::{
    any::Any,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use crate::{
    connect::{Connection, virConnectPtr},
    domain::{Domain, virDomainPtr},
    error::{
        self, Failure, VIR_ERR_INTERNAL_ERROR, VIR_ERR_INVALID_ARG, VIR_ERR_INVALID_CONN,
        VIR_ERR_INVALID_DOMAIN, VIR_FROM_DOM, VIR_FROM_DOMAIN, VIR_FROM_NONE,
    },
    handles,
};

/// Runs a call: resets the thread's last error, catches panics, and turns a failure into the last
/// error and the return value `failed`.
pub(crate) fn enter<T>(
    function: &'static str,
    failed: T,
    body: impl FnOnce(Call) -> Result<T, Failure>,
) -> T {
    error::reset();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| body(Call { function })));
    let outcome = outcome.unwrap_or_else(|panic| Err(Failure::of_panic(function, &*panic)));
    outcome.unwrap_or_else(|failure| {
        error::raise(failure);
        failed
    })
}

/// A call in progress.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    function: &'static str,
}

impl Call {
    /// Resolves the handle of a connection.
    pub(crate) fn connection(self, handle: virConnectPtr) -> Result<Arc<Connection>, Failure> {
        handles::get(handle).ok_or_else(|| self.invalid_connection())
    }

    /// Resolves the handle of a domain.
    pub(crate) fn domain(self, handle: virDomainPtr) -> Result<Arc<Domain>, Failure> {
        handles::get(handle).ok_or_else(|| self.invalid_domain())
    }

    pub(crate) fn invalid_connection(self) -> Failure {
        let message = format!("invalid connection pointer in {}", self.function);
        Failure::new(VIR_ERR_INVALID_CONN, VIR_FROM_DOMAIN, message)
    }

    pub(crate) fn invalid_domain(self) -> Failure {
        let message = format!("invalid domain pointer in {}", self.function);
        Failure::new(VIR_ERR_INVALID_DOMAIN, VIR_FROM_DOM, message)
    }

    /// Returns the failure for an invalid argument; `must` is what is required of it.
    pub(crate) fn invalid(self, argument: &str, must: impl fmt::Display) -> Failure {
        let message = format!("{argument} in {} must {must}", self.function);
        Failure::new(VIR_ERR_INVALID_ARG, VIR_FROM_DOMAIN, message)
    }
}

impl Failure {
    fn of_panic(function: &str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let message = format!("internal error: {function}: {}", text.unwrap_or("panic"));
        Self::new(VIR_ERR_INTERNAL_ERROR, VIR_FROM_NONE, message)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;

    use super::*;
    use crate::{
        error::{virGetLastErrorCode, virGetLastErrorDomain, virGetLastErrorMessage},
        memory,
    };

    fn last_message() -> String {
        // SAFETY: it is a text of this thread, which makes no other call meanwhile.
        unsafe { memory::text(virGetLastErrorMessage()) }.unwrap()
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        let result = enter("virTest", -1, |_| -> Result<c_int, _> { panic!("a {}", "mistake") });
        assert_eq!(result, -1);
        assert_eq!((virGetLastErrorCode(), virGetLastErrorDomain()), (1, 0));
        assert_eq!(last_message(), "internal error: virTest: a mistake");
    }

    #[test]
    fn the_next_call_resets_the_error() {
        let refuse = |call: Call| -> Result<c_int, _> { Err(call.invalid("x", "be y")) };
        assert_eq!(enter("virTest", -1, refuse), -1);
        assert_eq!(last_message(), "x in virTest must be y");
        assert_eq!(enter("virTest", -1, |_| Ok(5)), 5);
        assert_eq!(virGetLastErrorCode(), 0);
    }
}
