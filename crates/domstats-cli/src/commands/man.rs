//! `domstats man`: the manual page, and the end of `--help`, from one source.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, roman},
};

use crate::{
    args::Cli,
    exit::{Exit, Result},
};

const EXAMPLES: &[(&str, &str)] = &[
    ("domstats", "all domains of this host, as a table"),
    ("domstats -c test:///default", "the same for simulated domains, to try it out"),
    ("domstats --state --block vm1 vm2", "two groups of two domains"),
    ("domstats --list-running --format json", "the running domains, as JSON"),
    ("domstats --watch 2 --timeout 500ms", "every 2 seconds, with half a second for each call"),
    ("domstats doctor", "what is missing, and what to do about it"),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("DOMSTATS_DEFAULT_URI", "default of --connect"),
    ("LIBVIRT_DEFAULT_URI", "default of --connect if DOMSTATS_DEFAULT_URI is not set"),
    ("LIBVIRT_AUTH_FILE", "credentials for libvirt daemons"),
    ("XDG_RUNTIME_DIR", "directory of the user's own libvirt daemon: its socket is in libvirt/"),
    ("NO_COLOR", "disables colours if set and not empty"),
];

const FILES: &[(&str, &str)] = &[
    ("/etc/libvirt/libvirt.conf", "uri_default and uri_aliases, for root"),
    (
        "~/.config/libvirt/libvirt.conf",
        "the same for other users, in $XDG_CONFIG_HOME if that is set",
    ),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "success"),
    ("1", "failure; the reason is on standard error"),
    ("2", "invalid command line"),
    ("3", "with --strict: something requested could not be read"),
];

const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    ("Examples", EXAMPLES),
    ("Environment", ENVIRONMENT),
    ("Files", FILES),
    ("Exit status", EXIT_STATUS),
];

/// Returns the end of `--help`.
pub(crate) fn after_help() -> String {
    let mut text = String::new();
    for (title, entries) in SECTIONS {
        let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{title}:");
        for (name, meaning) in *entries {
            let _ = writeln!(text, "  {name:width$}  {meaning}");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// Prints the manual page in roff.
pub(crate) fn run() -> Result {
    let mut page = Vec::new();
    render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(Exit::Ok)
}

fn render(out: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone()).manual("User Commands");
    man.render_title(out)?;
    man.render_name_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("domstats"), roman(" [OPTION]... [DOMAIN]...")]);
    roff.control("br", []);
    roff.text([bold("domstats"), roman(" [-c URI] COMMAND [OPTION]...")]);
    roff.to_writer(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;

    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands() {
        describe(&mut roff, subcommand);
    }
    for (title, entries) in SECTIONS {
        roff.control("SH", [title.to_uppercase().as_str()]);
        for (name, meaning) in *entries {
            entry(&mut roff, vec![bold(*name)], meaning);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("virsh"), roman("(1), "), bold("qemu-qmp-ref"), roman("(7)")]);
    roff.to_writer(out)
}

/// Adds a command: it is too small for a page of its own.
fn describe(roff: &mut Roff, command: &Command) {
    let mut head = vec![bold(format!("domstats {}", command.get_name()))];
    let positionals = command.get_positionals();
    head.extend(positionals.map(|positional| roman(format!(" {positional}"))));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    entry(roff, head, &about);
    roff.control("RS", []);
    let own = command.get_arguments().filter(|argument| {
        let id = argument.get_id().as_str();
        id != "help" && !argument.is_global_set() && !id.starts_with("list-")
    });
    for argument in own {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        entry(roff, vec![bold(argument.to_string())], &help);
    }
    roff.control("RE", []);
}

fn entry(roff: &mut Roff, head: Vec<Inline>, text: &str) {
    roff.control("TP", []);
    roff.text(head);
    roff.text([roman(text)]);
}
