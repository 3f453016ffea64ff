//! The command line. The options of `virsh domstats` keep their names and meaning.

use std::time::Duration;

use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};
use clap_complete::Shell;
use domstats::{
    ConnectOptions, DomainFilter, Format, StatsGroups, StatsOptions, StatsRequest, stats::GROUPS,
};

/// Print the statistics of all or some virtual machines in one call
///
/// Prints the statistics of every virtual machine of this host, or of the given domains, in one
/// call that never hangs: each domain has its own deadline. Whatever could not be read is reported
/// on standard error, with the reason.
#[derive(Debug, Parser)]
#[command(
    name = "domstats",
    version,
    disable_help_subcommand = true,
    args_override_self = true,
    after_help = "See 'domstats --help' for details and examples.",
    after_long_help = crate::commands::man::after_help()
)]
pub(crate) struct Cli {
    /// Hypervisor to connect to, such as qemu:///system, qemu+qmp:///system or test:///default
    ///
    /// Default: $DOMSTATS_DEFAULT_URI, then $LIBVIRT_DEFAULT_URI, then uri_default in libvirt.conf,
    /// then the libvirt daemon of this host, qemu:///system or the user's own qemu:///session, if
    /// it answers, then qemu+qmp:///system, which reads every QEMU process of this host. The names
    /// in uri_aliases of libvirt.conf are accepted too.
    #[arg(short, long, value_name = "URI", global = true)]
    pub(crate) connect: Option<String>,
    #[command(flatten)]
    pub(crate) stats: StatsArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// `domstats` itself.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Domains by id, UUID or name; all if none is given
    ///
    /// A domain with the name of a command comes after `--`, as in `domstats -- list`.
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Domain by id, UUID or name, as an option; can be repeated
    #[arg(long = "domain", value_name = "DOMAIN")]
    more_domains: Vec<String>,
    /// Output format; by default the table on a terminal, else text
    ///
    /// `xml` and `json` are the whole document, `text` is what virsh domstats prints, `table` is
    /// one line per domain, `openmetrics` and `prometheus` are metrics.
    #[arg(short, long, value_parser = format_parser())]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    timeout: TimeoutArgs,
    /// Repeat every SECONDS until interrupted
    ///
    /// A terminal is repainted each time; a pipe gets one report after the other.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) watch: Option<Duration>,
    /// Exit with code 3 if anything requested could not be read
    #[arg(long)]
    pub(crate) strict: bool,
    /// Fail if a requested group is not supported
    #[arg(long)]
    enforce: bool,
    /// List every image of a disk's backing chain
    #[arg(long)]
    backing: bool,
    /// Skip busy monitors
    #[arg(long)]
    nowait: bool,
    /// Accepted for virsh compatibility; ignored
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pub(crate) groups: Groups,
    #[command(flatten)]
    filter: Filter,
}

impl StatsArgs {
    /// Returns the domains given on the command line; none means all.
    pub(crate) fn words(&self) -> Vec<&str> {
        let words = self.domains.iter().chain(&self.more_domains);
        words.map(String::as_str).collect()
    }

    /// Returns the request that the options describe.
    pub(crate) fn request(&self) -> StatsRequest {
        let options = [
            (self.enforce, StatsOptions::ENFORCE_STATS),
            (self.backing, StatsOptions::BACKING),
            (self.nowait, StatsOptions::NOWAIT),
        ];
        let options = options.into_iter().filter(|(given, _)| *given);
        self.timeout
            .request()
            .groups(self.groups.0)
            .filter(self.filter.0)
            .options(options.map(|(_, option)| option).collect())
    }

    /// Returns the options for opening the connection.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        self.timeout.connect_options()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List domains with id, name and state; accepts the filters
    List(ListArgs),
    /// Describe the statistics: key, type, unit and meaning of each
    Fields(FieldsArgs),
    /// Diagnose this host: what each domain provides, what is missing, and why
    Doctor(DoctorArgs),
    /// Print the completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print only the names, one per line
    #[arg(long)]
    pub(crate) name: bool,
    /// Print only the UUIDs, one per line; with --name, before the name
    #[arg(long)]
    pub(crate) uuid: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    filter: Filter,
}

impl ListArgs {
    /// Returns a request for the states of the domains to list.
    pub(crate) fn request(&self) -> StatsRequest {
        self.timeout.request().groups(StatsGroups::STATE).filter(self.filter.0)
    }

    /// Returns the options for opening the connection.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        self.timeout.connect_options()
    }
}

#[derive(Debug, Args)]
pub(crate) struct FieldsArgs {
    /// Groups such as block, or parts of a key such as rd.bytes; everything if none is given
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also print how long a call takes, phase by phase, and how much CPU time it costs
    #[arg(long)]
    pub(crate) timings: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

impl DoctorArgs {
    /// Returns a request for all of libvirt's groups.
    pub(crate) fn request(&self) -> StatsRequest {
        self.timeout.request().groups(StatsGroups::of_libvirt())
    }

    /// Returns the options for opening the connection.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        self.timeout.connect_options()
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// `--timeout`.
#[derive(Debug, Args)]
struct TimeoutArgs {
    /// Deadline of a call, such as 500ms or 2s; 1s by default
    ///
    /// The call returns by then with everything it has. Opening the connection has a deadline of
    /// its own: the same, or 5s by default.
    #[arg(short, long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

impl TimeoutArgs {
    fn request(&self) -> StatsRequest {
        let timeout = self.timeout.unwrap_or(StatsRequest::DEFAULT_TIMEOUT);
        StatsRequest::new().timeout(timeout)
    }

    fn connect_options(&self) -> ConnectOptions {
        let timeout = self.timeout.unwrap_or(ConnectOptions::DEFAULT_TIMEOUT);
        ConnectOptions::from_env().timeout(timeout)
    }
}

/// `--state`, `--block` and so on: one flag for each group of the catalogue.
#[derive(Debug)]
pub(crate) struct Groups(pub(crate) StatsGroups);

impl Args for Groups {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(GROUPS.iter().map(|group| {
            flag(group.name, group.help, "Groups (all of libvirt's if none is given)")
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Groups {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = GROUPS.iter().filter(|group| matches.get_flag(group.name));
        Ok(Self(given.map(|group| group.bit).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `--list-active` and so on.
#[derive(Debug)]
struct Filter(DomainFilter);

impl Filter {
    const FLAGS: [(&str, DomainFilter, &str); 8] = [
        ("list-active", DomainFilter::ACTIVE, "Domains that have a process"),
        ("list-inactive", DomainFilter::INACTIVE, "Domains without a process"),
        ("list-persistent", DomainFilter::PERSISTENT, "Domains that stay defined when they stop"),
        ("list-transient", DomainFilter::TRANSIENT, "Domains that vanish when they stop"),
        ("list-running", DomainFilter::RUNNING, "Domains that are running"),
        ("list-paused", DomainFilter::PAUSED, "Domains that are paused"),
        ("list-shutoff", DomainFilter::SHUTOFF, "Domains that are shut off"),
        ("list-other", DomainFilter::OTHER, "Domains in any other state"),
    ];
}

impl Args for Filter {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(
            Self::FLAGS
                .iter()
                .map(|(name, _, help)| flag(name, help, "Filters (all domains if none is given)")),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Filter {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::FLAGS.iter().filter(|(name, ..)| matches.get_flag(name));
        Ok(Self(given.map(|(_, bit, _)| *bit).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(name: &'static str, help: &'static str, heading: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).help_heading(heading).action(ArgAction::SetTrue)
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// Reads the seconds of `--watch`.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|period| !period.is_zero())
        .ok_or_else(|| "expected a number of seconds above 0, such as 2 or 0.5".to_owned())
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// What to print instead of running: help, the version, or a usage error.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        reject_lost_arguments(&matches)?;
        Self::from_arg_matches(&matches)
    }
}

/// Rejects arguments before a command, which would have no effect: `domstats --block list` may
/// mean a domain of that name.
fn reject_lost_arguments(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some(name) = matches.subcommand_name() else {
        return Ok(());
    };
    let mut command = Cli::command();
    command.build();
    let lost = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set())
        .find(|argument| {
            let id = argument.get_id().as_str();
            matches.value_source(id) == Some(ValueSource::CommandLine)
        })
        .map(ToString::to_string);
    match lost {
        None => Ok(()),
        Some(lost) => Err(command.error(
            ErrorKind::ArgumentConflict,
            format!(
                "'{lost}' has no effect before the command '{name}': put it after the command, or \
                 write '-- {name}' for a domain of that name"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_and_finite() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["", "0", "-1", "inf", "nan", "1s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_domain_can_be_called_like_a_command() {
        let words = |line: &[&str]| Cli::try_parse_from(line).unwrap().stats.words().join(" ");
        assert_eq!(words(&["domstats", "--", "list"]), "list");
        assert_eq!(words(&["domstats", "vm1", "list"]), "vm1 list");
        assert_eq!(words(&["domstats", "vm1", "--domain", "list"]), "vm1 list");
    }

    #[test]
    fn options_before_a_command_are_not_lost() {
        let check = |line: &[&str]| {
            reject_lost_arguments(&Cli::command().try_get_matches_from(line).unwrap())
        };
        assert!(check(&["domstats", "-c", "test:///default", "list"]).is_ok());
        for lost in [["--block"], ["--timeout=5s"], ["--list-active"]] {
            let error = check(&["domstats", lost[0], "list"]).unwrap_err();
            assert!(error.to_string().contains("'-- list'"), "{error}");
        }
    }
}
