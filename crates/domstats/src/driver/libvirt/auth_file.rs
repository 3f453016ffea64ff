use super::address::Address;
use crate::error::Result;
pub(super) fn credentials(_: &Address) -> Result<()> {
    Ok(())
}
