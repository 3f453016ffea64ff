//! The examples of `docs/domstatsd.md`, run as written, by clients of every kind.

use std::fs;

use domstats_live::{
    alone, domstatsd::Domstatsd, exporter::Exporter, lab::lab, page, prometheus::Prometheus,
};

const PAGE: &str = "docs/domstatsd.md";

#[test]
fn every_client_prints_what_the_page_says() {
    alone!();
    let daemon = Domstatsd::start(&["-c", "test:///default?clock=fixed"]);
    let exporter = Exporter::start(&daemon.uri());
    let target = format!("static_configs: [{{targets: ['{}']}}]", daemon.address());
    let prometheus = Prometheus::start(&[("domstatsd", target)]);
    prometheus.wait_for("libvirt_up", |up| up.len() == 1);

    // The page's names, and those used here.
    let names = [
        ("/run/domstatsd/sock", daemon.socket.display().to_string()),
        ("127.0.0.1:9177", daemon.address().to_string()),
        ("127.0.0.1:9000", exporter.http().address().to_string()),
        ("127.0.0.1:9090", prometheus.address().to_string()),
    ];
    let here = |text: &str| {
        names.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    };
    let there = |text: &str| {
        names.iter().fold(text.to_owned(), |text, (page, here)| text.replace(here, page))
    };
    let dir = lab().path(lab().name("page"));
    fs::create_dir_all(&dir).unwrap();
    for name in page::write_files(PAGE, &dir) {
        let file = dir.join(name);
        let text = fs::read_to_string(&file).unwrap();
        // This path does not exist here: the error message keeps the page's name.
        let text = if text.contains("everywhere") { text } else { here(&text) };
        fs::write(file, text).unwrap();
    }
    // From this tree, and from the system's packages.
    let path = format!("{}:/usr/sbin:/usr/bin:/bin", lab().path("").display());
    page::check(PAGE, 30, |script| {
        let mut shell = lab().command("sh");
        shell.args(["-c", &here(script)]).current_dir(&dir).env("PATH", &path).env("LC_ALL", "C");
        there(&String::from_utf8(shell.output().unwrap().stdout).unwrap())
    });
}
