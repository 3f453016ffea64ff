//! Certificates for TLS: some to be accepted, and some to be rejected.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::lab::lab;

/// The certificates of a server and its clients. Each field is a directory with the file names that
/// libvirt knows: `cacert.pem`, and `servercert.pem` or `clientcert.pem` with its key.
#[derive(Debug)]
pub struct Pki {
    /// A server at `localhost` and 127.0.0.1.
    pub server: PathBuf,
    /// A server of the same authority at another host.
    pub server_elsewhere: PathBuf,
    /// A server whose certificate was valid for one day in 2020.
    pub server_expired: PathBuf,
    /// A server named only by a common name, as in old certificates.
    pub server_by_common_name: PathBuf,
    /// A client that the servers let in.
    pub client: PathBuf,
    /// A client that the servers let in, and that knows that the certificate of `server_elsewhere`
    /// was revoked.
    pub wary: PathBuf,
    /// A client with a certificate from an authority that the servers do not know.
    pub stranger: PathBuf,
    /// A client whose certificate was valid for one day in 2020.
    pub expired: PathBuf,
    /// A client without a certificate.
    pub nameless: PathBuf,
    /// A client of another authority, which does not know that of the servers.
    pub doubter: PathBuf,
    authority: Authority,
}

const SERVER: &str = "tls_www_server\nsigning_key\nencryption_key\n";
const CLIENT: &str = "tls_www_client\nsigning_key\nencryption_key\n";
const HERE: &str = "cn = \"server\"\ndns_name = \"localhost\"\nip_address = \"127.0.0.1\"\n";
const ELSEWHERE: &str = "cn = \"elsewhere\"\ndns_name = \"elsewhere.example.org\"\n";
const VALID: &str = "expiration_days = 2\n";
const EXPIRED: &str = "activation_date = \"2020-01-01 00:00:00\"
expiration_date = \"2020-01-02 00:00:00\"\n";

impl Pki {
    /// Creates all of them.
    #[must_use]
    pub fn new() -> Self {
        let dir = lab().path(lab().name("pki"));
        let authority = Authority::new(&dir.join("authority"));
        let other = Authority::new(&dir.join("other-authority"));
        let client = |name: &str, trusted: &Authority, signer: &Authority, life: &str| {
            let party = trusted.known_to(&dir.join(name));
            signer.sign(&party, "client", &format!("cn = \"{name}\"\n{CLIENT}{life}"));
            party
        };
        let server = |name: &str, names: &str, life: &str| {
            let party = authority.known_to(&dir.join(name));
            authority.sign(&party, "server", &format!("{names}{SERVER}{life}"));
            party
        };
        let server_elsewhere = server("server-elsewhere", ELSEWHERE, VALID);
        let wary = client("wary", &authority, &authority, VALID);
        authority.revoke(&server_elsewhere.join("servercert.pem"), &wary);
        Self {
            server: server("server", HERE, VALID),
            server_elsewhere,
            server_expired: server("server-expired", HERE, EXPIRED),
            server_by_common_name: server("server-by-common-name", "cn = \"localhost\"\n", VALID),
            client: client("client", &authority, &authority, VALID),
            wary,
            stranger: client("stranger", &authority, &other, VALID),
            expired: client("expired", &authority, &authority, EXPIRED),
            nameless: authority.known_to(&dir.join("nameless")),
            doubter: client("doubter", &other, &other, VALID),
            authority,
        }
    }

    /// Tells the server that a client's certificate was revoked.
    pub fn revoke(&self, client: &Path) {
        self.authority.revoke(&client.join("clientcert.pem"), &self.server);
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// An authority that signs certificates.
#[derive(Debug)]
struct Authority {
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let (key, template) = (dir.join("cakey.pem"), dir.join("template"));
        generate_key(&key, "ecdsa", "high");
        let name = dir.file_name().unwrap().display();
        let text = format!("cn = \"{name}\"\nca\ncert_signing_key\n{VALID}");
        fs::write(&template, text).unwrap();
        let mut command = lab().command("certtool");
        command.arg("--generate-self-signed").arg("--load-privkey").arg(&key);
        command.arg("--template").arg(&template).arg("--outfile").arg(dir.join("cacert.pem"));
        lab().run(&mut command);
        Self { dir: dir.to_owned() }
    }

    /// Creates the directory of a party that trusts it.
    fn known_to(&self, dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        fs::copy(self.dir.join("cacert.pem"), dir.join("cacert.pem")).unwrap();
        dir.to_owned()
    }

    /// Creates a party's key, of the kind in libvirt's documentation, and its certificate. It has
    /// 2048 bits, since generating longer ones takes longer than most tests.
    fn sign(&self, party: &Path, role: &str, text: &str) {
        let (key, template) = (party.join(format!("{role}key.pem")), party.join("template"));
        generate_key(&key, "rsa", "medium");
        fs::write(&template, text).unwrap();
        let mut command = lab().command("certtool");
        command.arg("--generate-certificate").arg("--load-privkey").arg(&key);
        command.arg("--load-ca-privkey").arg(self.dir.join("cakey.pem"));
        command.arg("--load-ca-certificate").arg(self.dir.join("cacert.pem"));
        command.arg("--template").arg(&template);
        command.arg("--outfile").arg(party.join(format!("{role}cert.pem")));
        lab().run(&mut command);
    }

    /// Tells a party that a certificate was revoked.
    fn revoke(&self, certificate: &Path, party: &Path) {
        let template = party.join("revocations");
        fs::write(&template, "crl_next_update = 2\ncrl_number = 1\n").unwrap();
        let mut command = lab().command("certtool");
        command.arg("--generate-crl").arg("--load-certificate").arg(certificate);
        command.arg("--load-ca-privkey").arg(self.dir.join("cakey.pem"));
        command.arg("--load-ca-certificate").arg(self.dir.join("cacert.pem"));
        command.arg("--template").arg(&template).arg("--outfile").arg(party.join("cacrl.pem"));
        lab().run(&mut command);
    }
}

fn generate_key(path: &Path, kind: &str, strength: &str) {
    let mut command = lab().command("certtool");
    command.args(["--generate-privkey", "--key-type", kind, "--sec-param", strength]);
    lab().run(command.arg("--outfile").arg(path));
    // Readable for the user `nobody`, which runs the daemons.
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
