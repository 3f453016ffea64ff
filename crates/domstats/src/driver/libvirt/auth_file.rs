//! Users and passwords for libvirt's daemons: the file `auth.conf`.
//!
//! ```text
//! [credentials-NAME]      the login: authname=USER and password=PASSWORD
//! [auth-libvirt-HOST]     the host that uses it: credentials=NAME; `default` stands for any other
//! ```
//!
//! libvirt reads it as a GLib key file: sections with the same name are merged, the last value of a
//! key counts, spaces around `=` are ignored, and `\s`, `\n`, `\t`, `\r`, `\\` are escapes. A user
//! in the URI is for ssh alone: libvirt logs in as `authname` whatever the URI says.

use std::{collections::HashMap, fmt, fs::File, io::Read, path::Path};

use super::address::Address;
use crate::model::error::{Error, ErrorKind, ErrorOrigin, Result};

/// The most bytes to read; no file written by hand is longer.
const LONGEST: u64 = 1 << 20;

/// The user who logs in, and the password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Returns the credentials for an address.
///
/// # Errors
///
/// The file is missing, malformed, or says nothing about the host.
pub(super) fn credentials(address: &Address) -> Result<Credentials> {
    let host = &address.host;
    let Some(path) = &address.auth_file else {
        return Err(refuse(format!(
            "libvirt's daemon at {host} requires a user and a password, and there is no auth.conf \
             in ~/.config/libvirt or /etc/libvirt: {}",
            to_write(host)
        )));
    };
    let shown = path.display();
    let text = read(path).map_err(|error| {
        refuse(format!("cannot read the credentials in '{shown}': {}", to_write(host)))
            .because(error)
    })?;
    let found = parse(&text).and_then(|sections| look_up(&sections, host));
    match found {
        Ok(Some(credentials)) => Ok(credentials),
        Ok(None) => {
            let to_write = to_write(host);
            Err(refuse(format!("'{shown}' has no entry for the host {host}: {to_write}")))
        }
        Err(fault) => Err(refuse(format!("credentials file '{shown}', {fault}"))),
    }
}

fn refuse(what: String) -> Error {
    Error::new(ErrorKind::AuthFailed, ErrorOrigin::Auth, what)
}

/// Returns instructions on what to write into the file.
fn to_write(host: &str) -> String {
    format!(
        "add a section '[credentials-NAME]' with 'authname=USER' and 'password=PASSWORD', \
         and a section '[auth-libvirt-{host}]' with 'credentials=NAME'"
    )
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// The sections of a file, by their names: keys and their values.
pub(super) type Sections<'a> = HashMap<&'a str, HashMap<&'a str, Value<'a>>>;

#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    line: usize,
    /// Still escaped.
    text: &'a str,
}

/// What is wrong with a file. Never shows its text, which has passwords.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Line(usize, &'static str),
    Missing(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line, what) => write!(f, "line {line}: {what}"),
            Self::Missing(what) => f.write_str(what),
        }
    }
}

pub(super) fn parse(text: &str) -> std::result::Result<Sections<'_>, Fault> {
    let mut sections = Sections::new();
    let mut section = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let fault = |what| Err(Fault::Line(number, what));
        let line = line.trim_ascii_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            match rest.trim_end().strip_suffix(']') {
                Some(name) if !name.is_empty() && !name.contains(['[', ']']) => {
                    section = Some(sections.entry(name).or_default());
                }
                _ => return fault("a section line is '[NAME]' and nothing else"),
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.trim().is_empty())
        else {
            return fault("neither a section '[NAME]' nor 'KEY=VALUE' nor a '#' comment");
        };
        let Some(section) = &mut section else {
            return fault("a value before the first section '[NAME]'");
        };
        section
            .insert(key.trim_ascii_end(), Value { line: number, text: value.trim_ascii_start() });
    }
    Ok(sections)
}

/// Finds the credentials for a host; `None` if the file does not mention it.
pub(super) fn look_up(
    sections: &Sections<'_>,
    host: &str,
) -> std::result::Result<Option<Credentials>, Fault> {
    let names = [host, "default"].map(|host| format!("auth-libvirt-{host}"));
    let found = names.iter().find_map(|name| Some((name, sections.get(name.as_str())?)));
    let Some((name, place)) = found else {
        return Ok(None);
    };
    let get = |name: &str, section: &HashMap<&str, Value<'_>>, key: &str| match section.get(key) {
        Some(value) => unescape(value),
        None => Err(Fault::Missing(format!("section '[{name}]' has no line '{key}='"))),
    };
    let who = format!("credentials-{}", get(name, place, "credentials")?);
    let section = sections.get(who.as_str()).ok_or_else(|| {
        Fault::Missing(format!("section '[{name}]' needs a section '[{who}]', which is missing"))
    })?;
    let user = get(&who, section, "authname")?;
    let password = get(&who, section, "password")?;
    // For SASL, spaces at the end are not part of a user's name.
    let user = user.trim();
    match user.is_empty() || password.is_empty() {
        true => Err(Fault::Missing(format!("section '[{who}]' has an empty user or password"))),
        false => Ok(Some(Credentials { user: user.to_owned(), password })),
    }
}

fn unescape(value: &Value<'_>) -> std::result::Result<String, Fault> {
    let mut text = String::with_capacity(value.text.len());
    let mut letters = value.text.chars();
    while let Some(letter) = letters.next() {
        text.push(match letter {
            '\\' => match letters.next() {
                Some('s') => ' ',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('\\') => '\\',
                _ => return Err(Fault::Line(value.line, r"write '\\' for a backslash")),
            },
            letter => letter,
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;
    use crate::driver::libvirt::address::Transport;

    const ALICE: &str = "[credentials-a]\nauthname=alice\npassword=s e=c,ret\n";

    fn find(text: &str, host: &str) -> std::result::Result<Option<Credentials>, String> {
        parse(text).and_then(|sections| look_up(&sections, host)).map_err(|fault| fault.to_string())
    }

    fn alice() -> std::result::Result<Option<Credentials>, String> {
        Ok(Some(Credentials { user: "alice".to_owned(), password: "s e=c,ret".to_owned() }))
    }

    // libvirt 9.0 logs in with each of these files.
    #[test]
    fn finds_the_credentials_for_a_host() {
        for text in [
            "[auth-libvirt-h]\ncredentials=a\n",
            "[auth-libvirt-default]\ncredentials=a\n",
            "[auth-libvirt-default]\ncredentials=b\n[auth-libvirt-h]\ncredentials=a",
            "# a comment\n\n  # another\n \t\n  [auth-libvirt-h]  \n\tcredentials \t= \ta\n#x\n",
            "[auth-libvirt-h]\r\ncredentials=b\r\ncredentials=a\r\n",
            "[credentials-a]\nrealm=r\nusername=bob\na b=\n[\u{e4}]\n[auth-libvirt-h]\ncredentials=a",
        ] {
            let text = text.to_owned() + "\n" + ALICE;
            assert_eq!(find(&text, "h"), alice(), "{text}");
        }
        let escaped = ALICE.replace("s e=c,ret", r"\ss\te\\c\n\r");
        let text = escaped + "[auth-libvirt-::1]\ncredentials=a";
        assert_eq!(find(&text, "::1").unwrap().unwrap().password, " s\te\\c\n\r");
    }

    #[test]
    fn a_host_without_an_entry_has_no_credentials() {
        let text = ALICE.to_owned() + "[auth-libvirt-H]\ncredentials=a\n[auth-ssh-h]\n";
        assert_eq!(find(&text, "h"), Ok(None));
        assert_eq!(find("", "h"), Ok(None));
    }

    // libvirt 9.0 refuses each of these files, except those with a wrong escape in a password.
    #[test]
    fn an_error_names_its_line_and_never_shows_a_password() {
        for (text, what) in [
            ("[credentials-a]\nsecret\n", "line 2: neither"),
            ("[credentials-a]\n; secret\n", "line 2: neither"),
            ("[a]\n\n=secret\n", "line 3: neither"),
            ("[a] secret\n", "line 1: a section"),
            ("\n[secret\n", "line 2: a section line"),
            ("[]\n", "line 1: a section"),
            ("[a[b]\n", "line 1: a section"),
            ("password=secret\n", "line 1: a value before"),
            ("[auth-libvirt-h]\n", "'[auth-libvirt-h]' has no line 'credentials='"),
            ("[auth-libvirt-h]\ncredentials=b\n", "needs a section '[credentials-b]'"),
            (
                "[auth-libvirt-h]\ncredentials=b\n[credentials-b]\nusername=x\npassword=secret",
                "'[credentials-b]' has no line 'authname='",
            ),
            (
                "[auth-libvirt-h]\ncredentials=b\n[credentials-b]\nauthname=x",
                "'[credentials-b]' has no line 'password='",
            ),
            (
                "[auth-libvirt-h]\ncredentials=b\n[credentials-b]\nauthname= \npassword=secret",
                "an empty user",
            ),
            (
                "[auth-libvirt-h]\ncredentials=b\n[credentials-b]\nauthname=x\npassword=sec\\ret1",
                "line 5: write '\\\\'",
            ),
            (
                "[auth-libvirt-h]\ncredentials=b\n[credentials-b]\nauthname=x\npassword=secret\\",
                "line 5: write '\\\\'",
            ),
        ] {
            let text = text.replace("sec\\ret1", "secret\\1");
            let fault = find(&text, "h").unwrap_err();
            assert!(fault.contains(what) && !fault.contains("secret"), "{text}: {fault}");
        }
    }

    #[test]
    fn the_error_shows_what_to_write_and_where() {
        let at = |auth_file: Option<PathBuf>| {
            let address = Address {
                transport: Transport::Tcp { host: "h".to_owned(), port: 1 },
                name: String::new(),
                auth: None,
                auth_file,
                host: "h".to_owned(),
                user: Some("bob".to_owned()),
            };
            credentials(&address)
        };
        let path = std::env::temp_dir().join(format!("domstats-auth-{}", std::process::id()));
        for (file, text) in [(None, None), (Some(&path), None), (Some(&path), Some(ALICE))] {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let error = at(file.cloned()).unwrap_err();
            assert_eq!((error.kind(), error.origin()), (ErrorKind::AuthFailed, ErrorOrigin::Auth));
            let error = error.to_string();
            for part in ["auth", "'[auth-libvirt-h]'", "'credentials=NAME'", "'authname=USER'"] {
                assert!(error.contains(part), "{error}");
            }
        }
        fs::write(&path, ALICE.to_owned() + "[auth-libvirt-h]\ncredentials=a").unwrap();
        assert_eq!(at(Some(path.clone())).unwrap().user, "alice");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", alice().unwrap().unwrap());
        assert!(shown.contains("alice") && !shown.contains("ret"), "{shown}");
    }
}
