//! A process that looks like a QEMU; see [`domstats_live::fake`].

fn main() -> Result<(), Box<dyn std::error::Error>> {
    domstats_live::fake::main()
}
