//! The test driver, `test:///default`.

use crate::{driver::Driver, error::Result, uri::Uri};

pub(crate) fn open(uri: &Uri) -> Result<Box<dyn Driver>> {
    Err(uri.refuse(crate::ErrorOrigin::Test, "not yet"))
}
