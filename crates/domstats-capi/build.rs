//! How the shared library is linked.
//!
//! Its functions bear libvirt's names, so each has a version node of the library's own: a program
//! that also loads `libvirt.so` calls in each library what it was linked with. rustc gives the
//! linker a list of symbols without a node, which no second list may join; GNU ld, and it alone,
//! can give them the name of the library as their node.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    for argument in [
        "-fuse-ld=bfd",
        "-Wl,--default-symver",
        &format!("-Wl,-soname,libdomstats.so.{major}"),
        // Threads that end clean up here: the code must be there as long as they are.
        "-Wl,-z,nodelete",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
