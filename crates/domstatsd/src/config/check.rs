//! Refuses settings that cannot work, at the start and when the configuration is read again.

use axum::http::uri::Authority;

use super::Config;

/// Refuses a configuration that cannot work.
///
/// # Errors
///
/// A sentence about the first such setting.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    let Config { connect, timeout, rpc, http, otlp, .. } = config;
    if let Some(uri) = repeated(connect) {
        return Err(format!(
            "connect names '{uri}' twice: its series would come twice, which no Prometheus takes: name each \
             hypervisor once"
        ));
    }
    if let Some(name) = repeated(&http.compat) {
        return Err(format!(
            "http.compat names '{name}' twice: its series would come twice, which no Prometheus takes: name it once"
        ));
    }
    for (key, is_zero, what) in [
        ("timeout", timeout.is_zero(), "no domain could answer"),
        ("rpc.max_clients", rpc.max_clients == 0, "no client could come"),
        ("rpc.max_client_requests", rpc.max_client_requests == 0, "no client could ask"),
        ("http.max_connections", http.max_connections == 0, "no client could connect"),
        ("http.client_timeout", http.client_timeout.is_zero(), "no client could ask"),
        ("otlp.timeout", otlp.timeout.is_zero(), "no collector could answer"),
    ] {
        if is_zero {
            return Err(format!("{key} is 0, and {what}: use more"));
        }
    }
    // It is compared with the header `Host`, without the port.
    let is_name = |host: &String| {
        let parsed = host.parse::<Authority>();
        parsed.is_ok_and(|authority| authority.host() == host && !host.ends_with('.'))
    };
    match http.hosts.iter().find(|host| !is_name(host)) {
        Some(host) => Err(format!(
            "http.hosts has '{host}', which is no name of a host: 'metrics.example' is one, without port and scheme"
        )),
        None => Ok(()),
    }
}

/// Returns the first item that comes twice.
fn repeated(all: &[String]) -> Option<&String> {
    all.iter().enumerate().find(|(place, one)| all[..*place].contains(one)).map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        assert_eq!(check(&config), Ok(()));
        change(&mut config);
        check(&config).unwrap_err()
    }

    #[test]
    fn settings_that_would_break_later_are_refused() {
        let two = |one: &str| vec![one.to_owned(), "test:///default".to_owned(), one.to_owned()];
        let sentence = refused(|config| config.connect = two("qemu+qmp:///system"));
        assert!(sentence.starts_with("connect names 'qemu+qmp:///system' twice"), "{sentence}");
        let sentence = refused(|config| config.http.compat = two("tinkoff"));
        assert!(sentence.starts_with("http.compat names 'tinkoff' twice"), "{sentence}");
        let sentence = refused(|config| config.timeout = Duration::ZERO);
        assert_eq!(sentence, "timeout is 0, and no domain could answer: use more");
        for change in [
            (|config| config.rpc.max_clients = 0) as fn(&mut Config),
            |config| config.rpc.max_client_requests = 0,
            |config| config.http.max_connections = 0,
            |config| config.http.client_timeout = Duration::ZERO,
            |config| config.otlp.timeout = Duration::ZERO,
        ] {
            assert!(refused(change).contains(" is 0, and "));
        }
        for host in ["", "https://a.example", "a.example:443", "a.example.", "a b", "u@a.example"] {
            let sentence = refused(|config| config.http.hosts = vec![host.to_owned()]);
            assert!(sentence.starts_with("http.hosts has '"), "{host}: {sentence}");
        }
        let mut config = Config::default();
        config.http.hosts = vec!["metrics.example".to_owned(), "HOST7".to_owned()];
        assert_eq!(check(&config), Ok(()));
    }
}
