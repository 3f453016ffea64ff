//! Records a QEMU's replies; see [`domstats_live::recording`].

use std::path::Path;

use domstats_live::recording::Recording;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let qemu = std::env::args().nth(1).ok_or("usage: record-qemu /path/of/qemu-system-x86_64")?;
    println!("{}", Recording::of(Path::new(&qemu)).write().display());
    Ok(())
}
