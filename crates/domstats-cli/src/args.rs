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

/// Statistics of all virtual machines, or of the ones that are named, in one call
///
/// Prints the statistics of every virtual machine of this host, or of the domains that are named,
/// in one call that never hangs: each domain has its own deadline, and what could not be read is
/// named on standard error with the reason.
#[derive(Debug, Parser)]
#[command(
    name = "domstats",
    version,
    disable_help_subcommand = true,
    args_override_self = true,
    after_help = "More, with examples: domstats --help",
    after_long_help = crate::commands::man::after_help()
)]
pub(crate) struct Cli {
    /// Hypervisor to ask, such as qemu:///system, qemu+qmp:///system or test:///default
    ///
    /// Without it: $DOMSTATS_DEFAULT_URI, then $LIBVIRT_DEFAULT_URI, then uri_default of
    /// libvirt.conf, then the libvirt daemon of this host, qemu:///system or the user's own
    /// qemu:///session, if it answers, then qemu+qmp:///system, which reads every QEMU process of
    /// this host. Names of uri_aliases in libvirt.conf are taken too.
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
    /// Domains to ask: id, UUID or name; all of them if none is named
    ///
    /// A domain that is called like a command comes after `--`, as in `domstats -- list`.
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Domain to ask, as an option; can be repeated
    #[arg(long = "domain", value_name = "DOMAIN")]
    more_domains: Vec<String>,
    /// Form of the output; a terminal gets the table, a pipe gets text
    ///
    /// `xml` and `json` are the whole document, `text` is what virsh domstats prints, `table` is
    /// one line a domain, `openmetrics` and `prometheus` are metrics.
    #[arg(short, long, value_parser = format_parser())]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    timeout: TimeoutArgs,
    /// Ask again every so many seconds, until interrupted
    ///
    /// A terminal is painted again each time; a pipe gets one report after the other.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) watch: Option<Duration>,
    /// Fail with exit code 3 if anything that was asked for could not be read
    #[arg(long)]
    pub(crate) strict: bool,
    /// Fail if a group that is asked for is not supported
    #[arg(long)]
    enforce: bool,
    /// Show every image of a disk's backing chain
    #[arg(long)]
    backing: bool,
    /// Ask no monitor that is not free at once
    #[arg(long)]
    nowait: bool,
    /// Taken for the sake of scripts; changes nothing, as in virsh
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    pub(crate) groups: Groups,
    #[command(flatten)]
    filter: Filter,
}

impl StatsArgs {
    /// Returns the words that name domains; none means all.
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

    /// Returns how to open the connection.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        self.timeout.connect_options()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the domains: id, name and state; takes the filters too
    List(ListArgs),
    /// Explain the statistics: key, type, unit and meaning of each
    Fields(FieldsArgs),
    /// Say what is found on this host, what each domain gives, and why not more
    Doctor(DoctorArgs),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print only the names, one a line
    #[arg(long)]
    pub(crate) name: bool,
    /// Print only the UUIDs, one a line; with --name, before the name
    #[arg(long)]
    pub(crate) uuid: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
    #[command(flatten)]
    filter: Filter,
}

impl ListArgs {
    /// Returns the request for the states of the domains to list.
    pub(crate) fn request(&self) -> StatsRequest {
        self.timeout.request().groups(StatsGroups::STATE).filter(self.filter.0)
    }

    /// Returns how to open the connection.
    pub(crate) fn connect_options(&self) -> ConnectOptions {
        self.timeout.connect_options()
    }
}

#[derive(Debug, Args)]
pub(crate) struct FieldsArgs {
    /// Groups, such as block, or parts of a key, such as rd.bytes; everything if none is given
    #[arg(value_name = "WORD")]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Also say how long a call takes, what it spends the time on, and what it costs this host
    #[arg(long)]
    pub(crate) timings: bool,
    #[command(flatten)]
    timeout: TimeoutArgs,
}

impl DoctorArgs {
    /// Returns the request for everything that libvirt has too.
    pub(crate) fn request(&self) -> StatsRequest {
        self.timeout.request().groups(StatsGroups::of_libvirt())
    }

    /// Returns how to open the connection.
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
    /// Time after which the call returns with what it has, such as 500ms or 2s; 1s by default
    ///
    /// Opening the connection may take as long again, and 5s by default.
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

/// `--list-active` and so on: which domains "all" means.
#[derive(Debug)]
struct Filter(DomainFilter);

impl Filter {
    const FLAGS: [(&str, DomainFilter, &str); 8] = [
        ("list-active", DomainFilter::ACTIVE, "Domains that have a process"),
        ("list-inactive", DomainFilter::INACTIVE, "Domains that are only defined"),
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
                .map(|(name, _, help)| flag(name, help, "Filters (every domain if none is given)")),
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
        .ok_or_else(|| "give a number of seconds above 0, such as 2 or 0.5".to_owned())
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// What is to be printed instead of running: help, the version, or a mistake.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        refuse_lost_arguments(&matches)?;
        Self::from_arg_matches(&matches)
    }
}

/// Refuses what stands before a command and would have no effect: `domstats --block list` may
/// mean a domain of that name.
fn refuse_lost_arguments(matches: &ArgMatches) -> Result<(), clap::Error> {
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
                "'{lost}' does not belong before the command '{name}': write it behind, or \
                 '-- {name}' for a domain of that name"
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
            refuse_lost_arguments(&Cli::command().try_get_matches_from(line).unwrap())
        };
        assert!(check(&["domstats", "-c", "test:///default", "list"]).is_ok());
        for lost in [["--block"], ["--timeout=5s"], ["--list-active"]] {
            let error = check(&["domstats", lost[0], "list"]).unwrap_err();
            assert!(error.to_string().contains("'-- list'"), "{error}");
        }
    }
}
