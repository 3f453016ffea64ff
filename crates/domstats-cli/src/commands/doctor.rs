//! `domstats doctor`: what each domain of this host provides, what is missing, and why.

use std::io::{self, Write};

use domstats::{
    Connect, DomainInfo, DomainStats, Error, ErrorKind, ErrorOrigin, MissingReason, Monitor,
    StatsReport, error_chain, printable, stats::GROUPS,
};

use crate::{
    args::DoctorArgs,
    commands::timings,
    exit::{Exit, Result},
    missing, uri,
};

/// Examines one hypervisor, or all of this host. Fails if no domain is found.
pub(crate) fn run(connect: Option<&str>, args: &DoctorArgs) -> Result {
    let options = args.connect_options();
    let mut out = io::stdout().lock();
    let mut say = |line: String| writeln!(out, "{}", printable(&line));
    let mut found = false;
    let mut has_untrusted = false;
    let mut reasons = Vec::new();
    let mut hints = Vec::new();
    for uri in uri::all(connect)? {
        let answer = Connect::open_with(&uri, &options)
            .and_then(|connect| Ok((timings::timed(&connect, &args.request())?, connect)));
        match answer {
            Ok(((report, first), connect)) => {
                found |= !report.domains.is_empty();
                has_untrusted |= report.domains.iter().any(|stats| stats.domain.untrusted);
                collect_reasons(&report, &mut reasons);
                examine(&uri, &connect, &report).into_iter().try_for_each(&mut say)?;
                if args.timings {
                    say(format!("  first call: {first}"))?;
                    let (_, next) = timings::timed(&connect, &args.request())?;
                    say(format!("  next call: {next}"))?;
                }
            }
            Err(error) => {
                say(format!("{uri}: {}", error_chain(&error)))?;
                hints.extend(hint_of_connection(&error));
            }
        }
    }
    hints.extend(reasons.iter().filter_map(hint));
    // Every PID namespace has a process 1, whose name everybody may read.
    if std::fs::File::open("/proc/1/comm").is_err() {
        hints.push(
            "/proc hides the processes of other users (hidepid), including QEMU: run as root, or as a \
             member of the group in its mount option gid=",
        );
    }
    if has_untrusted {
        hints.push(
            "not trusted: such a domain is found by its id alone; qemu+qmp:///system?trusted=USER trusts \
             that user",
        );
    }
    if !found {
        hints.push("no domain found; `domstats -c test:///default` shows simulated ones");
    }
    hints.dedup();
    hints.into_iter().try_for_each(|hint| say(format!("hint: {hint}")))?;
    Ok(if found { Exit::Ok } else { Exit::Failed })
}

/// Returns the lines about one hypervisor.
fn examine(uri: &str, connect: &Connect, report: &StatsReport) -> Vec<String> {
    let (driver, host) = (connect.driver_name(), connect.hostname());
    let count = match report.domains.len() + report.missing.len() {
        0 => "no domain".to_owned(),
        1 => "1 domain".to_owned(),
        count => format!("{count} domains"),
    };
    let mut lines = vec![format!("{uri}: {count} on {host}, driver {driver}")];
    for domain in &report.missing {
        lines.push(format!("  {}", domain.domain.name));
        lines.push(format!("    missing entirely: {}", domain.missing));
    }
    lines.extend(report.domains.iter().filter_map(|stats| trust(&stats.domain)));
    lines.extend(report.missing.iter().filter_map(|missing| trust(&missing.domain)));
    // Domains with the same findings are listed together.
    let mut alike: Vec<(Vec<&DomainInfo>, Vec<String>)> = Vec::new();
    for stats in &report.domains {
        let (domain, findings) = (&stats.domain, examine_domain(stats));
        match alike.iter_mut().find(|(_, known)| *known == findings) {
            Some((domains, _)) => domains.push(domain),
            None => alike.push((vec![domain], findings)),
        }
    }
    for (domains, findings) in alike {
        let names: Vec<_> = domains.iter().map(|domain| domain.name.as_str()).collect();
        lines.push(format!("  {}", names.join(", ")));
        lines.extend(findings);
        lines.extend(domains.into_iter().flat_map(|domain| monitors(connect, domain)));
    }
    lines
}

/// Returns the line about a domain whose identity is in doubt.
fn trust(domain: &DomainInfo) -> Option<String> {
    let who = domain.described();
    let conflict = domain.conflict;
    match (conflict.is_empty(), domain.untrusted) {
        (true, false) => None,
        (false, false) => Some(format!("  {who}: another domain has its {conflict} too")),
        (true, true) => Some(format!("  {who}: its user is not trusted")),
        (false, true) => Some(format!(
            "  {who}: its user is not trusted, and another domain has its {conflict} too"
        )),
    }
}

/// Returns a line for each monitor of a QEMU: which one was used, and why not the others.
fn monitors(connect: &Connect, domain: &DomainInfo) -> Vec<String> {
    // Those of a libvirt daemon are its own.
    let monitors = connect.domain(domain.clone()).monitors().unwrap_or_default();
    let name = &domain.name;
    let line = |monitor: Monitor| {
        let what = match (monitor.is_used, monitor.unused) {
            (true, _) => "used".to_owned(),
            (false, Some(missing)) => format!("not used: {missing}"),
            (false, None) => "not needed".to_owned(),
        };
        format!("    monitor of {name}: {}: {what}", monitor.address)
    };
    monitors.into_iter().map(line).collect()
}

/// Returns the lines about what one domain provides.
fn examine_domain(stats: &DomainStats) -> Vec<String> {
    let provided: Vec<_> = GROUPS
        .iter()
        .filter(|group| group.of(stats).is_some())
        .map(|group| match stats.why_missing(group.bit) {
            Some(_) => format!("{} (in part)", group.name),
            None => group.name.to_owned(),
        })
        .collect();
    let mut lines = Vec::new();
    if !provided.is_empty() {
        lines.push(format!("    provides {}", provided.join(", ")));
    }
    for (why, groups) in missing::by_reason(stats) {
        lines.push(format!("    missing {}: {why}", groups.join(", ")));
    }
    lines
}

fn collect_reasons(report: &StatsReport, reasons: &mut Vec<MissingReason>) {
    let of_groups =
        report.domains.iter().flat_map(|stats| &stats.missing).map(|group| &group.missing);
    let of_domains = report.missing.iter().map(|domain| &domain.missing);
    for missing in of_groups.chain(of_domains) {
        if !reasons.contains(&missing.reason) {
            reasons.push(missing.reason.clone());
        }
    }
}

/// Returns advice on a failed connection, if there is any.
fn hint_of_connection(error: &Error) -> Option<&'static str> {
    match (error.kind(), error.origin()) {
        (_, ErrorOrigin::Polkit) => Some(
            "polkit: a rule in /etc/polkit-1/rules.d of that host can allow the action \
             org.libvirt.unix.monitor to the user",
        ),
        (ErrorKind::NoConnect, _) => Some(
            "no daemon: `systemctl start virtqemud.socket`, or libvirtd.socket on older hosts; \
             QEMU without libvirt is at qemu+qmp:///system",
        ),
        (ErrorKind::AccessDenied, _) => Some(
            "denied: the group of libvirt's socket is `libvirt` on most hosts: \
             `usermod --append --groups libvirt USER`, then log in again",
        ),
        (ErrorKind::Tls, _) => Some(
            "TLS: `openssl s_client -connect HOST:16514` shows the server's certificate; one's own \
             are in /etc/pki/libvirt, ~/.pki/libvirt or where pkipath= says",
        ),
        (ErrorKind::AuthFailed, _) => Some(
            "authentication: `saslpasswd2 -a libvirt USER` on the daemon's host sets a password, \
             auth.conf or authfile= has it here",
        ),
        (ErrorKind::Timeout, _) => Some(
            "timeout: the daemon is stopped, stuck or far away; --timeout 10s gives it more time",
        ),
        _ => None,
    }
}

/// Returns advice on a reason, if there is any.
fn hint(reason: &MissingReason) -> Option<&'static str> {
    match reason {
        MissingReason::Denied => {
            Some("denied: run as root, or as the user that the domain's QEMU runs as")
        }
        MissingReason::Busy => Some(
            "busy: a job of libvirt (`virsh domjobinfo`) or another program has the monitor; QEMU \
             without libvirt can have one more, -qmp unix:/run/NAME.qmp,server=on,wait=off",
        ),
        MissingReason::Timeout => {
            Some("timeout: QEMU is stopped, stuck or overloaded; --timeout 5s gives it more time")
        }
        _ => None,
    }
}
