//! `domstats doctor --timings`: the cost of a call.

use std::{fmt, time::Duration};

use domstats::{Connect, Phase, Result, StatsReport, StatsRequest};
use rustix::time::{ClockId, clock_gettime};

/// The cost of a call.
pub(crate) struct Timings {
    elapsed: Duration,
    phases: Vec<Phase>,
    /// User and system time of all threads of this process.
    cpu: Duration,
    domains: usize,
}

/// Makes a call.
pub(crate) fn timed(connect: &Connect, request: &StatsRequest) -> Result<(StatsReport, Timings)> {
    let start = cpu_time();
    let report = connect.all_domain_stats(request)?;
    let timings = Timings {
        elapsed: report.elapsed,
        phases: report.phases.clone(),
        cpu: cpu_time().saturating_sub(start),
        domains: report.domains.len(),
    };
    Ok((report, timings))
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        write!(f, "{:.1} ms", milliseconds(self.elapsed))?;
        for (number, phase) in self.phases.iter().enumerate() {
            let separator = if number == 0 { " (" } else { ", " };
            write!(f, "{separator}{} {:.1}", phase.name, milliseconds(phase.elapsed))?;
        }
        if !self.phases.is_empty() {
            f.write_str(")")?;
        }
        write!(f, ", own CPU time {:.1} ms", milliseconds(self.cpu))?;
        if let Some(each) = u32::try_from(self.domains).ok().and_then(|n| self.cpu.checked_div(n)) {
            write!(f, ", {:.0} us a domain", each.as_secs_f64() * 1e6)?;
        }
        Ok(())
    }
}
