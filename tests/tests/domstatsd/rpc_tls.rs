//! libvirt's protocol over TLS: virsh gets in with a certificate, and not without one.

use std::path::Path;

use domstats_live::{
    alone,
    domstatsd::Domstatsd,
    lab::lab,
    libvirt::virsh,
    patience::{PATIENCE, wait_until},
    pki::Pki,
    process,
};

#[test]
fn clients_with_a_certificate_get_in() {
    alone!();
    let pki = Pki::new();
    let port = lab().port();
    let options = ["-c", "test:///default", "--rpc-tls", &format!("127.0.0.1:{port}")];
    let lines = format!("[rpc]\npki = \"{}\"\n", pki.server.display());
    let daemon = Domstatsd::start_with(&options, &lines);
    let ask = |client: &Path| {
        let uri = format!("qemu+tls://localhost:{port}/system?pkipath={}", client.display());
        let output = virsh(&uri, &["list", "--name"]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    assert_eq!(ask(&pki.client), (true, "vm1\nvm2\nvm3\n\n".to_owned()));
    for client in [&pki.stranger, &pki.expired, &pki.nameless, &pki.doubter] {
        assert!(!ask(client).0, "{client:?}");
    }
    assert!(ask(&pki.client).0, "the others did no harm");
    assert!(ask(&pki.wary).0);
    pki.revoke(&pki.wary);
    process::hang_up(daemon.pid());
    wait_until(PATIENCE, "a revoked certificate lets in", || !ask(&pki.wary).0);
    assert!(ask(&pki.client).0, "others are not revoked");
}
