//! The libvirt driver.

#[expect(dead_code, reason = "the driver comes next")]
mod address;
