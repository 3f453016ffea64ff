//! Installs with `cargo cinstall` and compiles with `pkg-config`, as packages do. Ignored by default
//! (`cargo test -p domstats-capi -- --ignored install`): cargo-c takes minutes to build.

use std::{env, fs, path::Path, process::Command};

use domstats_live::{c_library::PAGE, lab::lab, page};

#[test]
#[ignore = "needs cargo-c"]
fn an_installed_library_is_found_and_used() {
    let prefix = lab().path("installed");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap());
    cargo.args(["cinstall", "--locked", "--package", "domstats-capi"]);
    cargo.arg("--prefix").arg(&prefix).args(["--libdir", "lib"]);
    lab().run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));

    let header = fs::read_to_string(prefix.join("include/domstats.h")).unwrap();
    assert!(header == include_str!("../../include/domstats.h"));
    let lib = prefix.join("lib");
    let version = env!("CARGO_PKG_VERSION");
    let library = fs::canonicalize(lib.join("libdomstats.so")).unwrap();
    assert_eq!(library, lib.join(format!("libdomstats.so.{version}")));
    assert_eq!(fs::canonicalize(lib.join("libdomstats.so.0")).unwrap(), library);
    let read = |option| lab().run(lab().command("readelf").args([option, "--wide"]).arg(&library));
    assert!(read("--dynamic").contains("Library soname: [libdomstats.so.0]"));
    assert!(read("--dyn-syms").contains(" virConnectGetAllDomainStats@@libdomstats.so.0"));

    let programs = lab().path("programs");
    fs::create_dir_all(&programs).unwrap();
    page::write_files(PAGE, &programs);
    let print = |script: &str| {
        let mut shell = lab().command_at(Path::new("/bin/sh"));
        shell.env("PKG_CONFIG_PATH", lib.join("pkgconfig")).current_dir(&programs);
        lab().run(shell.args(["-e", "-c", script]))
    };
    assert_eq!(print("pkg-config --modversion domstats").trim(), version);
    for (kind, flags) in [("shared", "--libs"), ("static", "--static --libs")] {
        let directory = lib.display();
        let printed = print(&format!(
            "cc all.c $(pkg-config --cflags {flags} domstats) -o {kind}
            LD_LIBRARY_PATH={directory} ./{kind} test:///default"
        ));
        assert!(printed.starts_with("<domainstats "), "{kind}: {printed}");
    }
}
