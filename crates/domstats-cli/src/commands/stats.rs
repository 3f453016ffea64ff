//! `domstats`: the bulk call.

use std::io::{self, IsTerminal, Write};

use domstats::{Domain, Format, StatsReport};

use crate::{
    args::StatsArgs,
    exit::{Exit, Result},
    missing,
    uri::Hypervisor,
    watch,
};

/// Moves the cursor home and clears the screen.
const REPAINT: &[u8] = b"\x1b[H\x1b[2J";

/// Prints the statistics of all or of the given domains, once or with `--watch`.
pub(crate) fn run(connect: Option<&str>, args: &StatsArgs) -> Result {
    let terminal = io::stdout().is_terminal();
    let format = args.format.unwrap_or(match terminal {
        true => Format::Table,
        false => Format::Text,
    });
    let hypervisor = Hypervisor::open(connect, &args.connect_options())?;
    let mut known = Vec::new();
    watch::repeat(args.watch, || {
        let report = read(&hypervisor, args, &mut known)?;
        // In one write: a pipe's reader sees whole reports, a terminal does not flicker.
        let mut page = Vec::new();
        if args.watch.is_some() && terminal {
            page.extend_from_slice(REPAINT);
        }
        format.write(&report, &mut page)?;
        let mut out = io::stdout().lock();
        out.write_all(&page)?;
        out.flush()?;
        missing::warn(&report, args.groups.0);
        Ok(match args.strict && !report.is_complete() {
            true => Exit::Partial,
            false => Exit::Ok,
        })
    })
}

/// Makes one call. Given domains are looked up each time, since a restarted one is another process;
/// `known` remembers them, so that one that is gone is reported as such.
fn read(hypervisor: &Hypervisor, args: &StatsArgs, known: &mut Vec<Domain>) -> Result<StatsReport> {
    let words = args.words();
    if words.is_empty() {
        return hypervisor.all_domain_stats(&args.request());
    }
    *known = hypervisor.find(&words, known)?;
    Ok(Domain::list_stats(known, &args.request())?)
}
