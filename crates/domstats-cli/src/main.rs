//! The command `domstats`.

fn main() {}
