//! The URI as the daemon sees it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parameters::Parameters;
use crate::driver::uri::Uri;

const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What to percent-encode in a path: libvirt leaves the characters removed here as they are.
const IN_PATH: &AsciiSet = &IN_QUERY
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// Returns the URI for the daemon: driver, path and the parameters that are not the client's.
pub(super) fn of(uri: &Uri, parameters: &Parameters) -> String {
    if let Some(name) = parameters.get("name") {
        return name.to_owned();
    }
    if uri.driver() == "remote" {
        return String::new();
    }
    let mut name = format!("{}://{}", uri.driver(), utf8_percent_encode(&uri.path, IN_PATH));
    let mut separator = '?';
    for (key, value) in parameters.of_the_daemon() {
        name.push(separator);
        name.extend(utf8_percent_encode(key, IN_QUERY));
        name.push('=');
        name.extend(utf8_percent_encode(value, IN_QUERY));
        separator = '&';
    }
    if let Some(fragment) = &uri.fragment {
        name.push('#');
        name.push_str(fragment);
    }
    name
}
