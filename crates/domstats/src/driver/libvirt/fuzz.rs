//! Targets for [`crate::fuzz`]: addresses of daemons, and credentials.

use super::{
    address::{self, Address},
    auth_file::{Credentials, look_up, parse},
};
use crate::driver::{options::ConnectOptions, uri::Uri};

/// Resolves a URI by libvirt's rules.
pub(crate) fn address(uri: &Uri, options: &ConnectOptions) {
    if address::serves(&uri.scheme) {
        let _ = Address::new(uri, options);
    }
}

/// Checks `auth.conf`: credentials that were found are found again in a file that has only them.
pub fn auth_conf(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let find = |text| parse(text).and_then(|sections| look_up(&sections, "host"));
    match find(text) {
        Ok(Some(found)) => {
            let Credentials { user, password } = &found;
            let text = format!(
                "[auth-libvirt-default]\ncredentials=c\n[credentials-c]\nauthname={}\npassword={}\n",
                escape(user),
                escape(password)
            );
            assert_eq!(find(&text), Ok(Some(found)));
        }
        Ok(None) => {}
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace(' ', "\\s").replace('\n', "\\n");
    escaped.replace('\t', "\\t").replace('\r', "\\r")
}
