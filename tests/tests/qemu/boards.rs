//! NICs of boards, wherever they are in the machine: as `info network` shows them.

use domstats::{Connect, MissingReason, StatsGroups, StatsRequest};
use domstats_live::{
    alone,
    guest::{Guest, Spec},
    lab::lab,
    patience::PATIENCE,
    tools::tool,
};
use serde_json::json;

const POLICIES: [&str; 2] = ["qemu+qmp:///system", "qemu+qmp:///system?monitor_policy=hold"];

/// A board, its memory in MiB, and how many NICs it has regardless of the options.
type Board = (&'static str, &'static str, u32, usize);

const BOARDS: [Board; 11] = [
    // `/machine/soc/fec`, `eth`, `emac`.
    ("aarch64", "imx25-pdk", 128, 1),
    ("aarch64", "sabrelite", 512, 1),
    ("aarch64", "lm3s6965evb", 1, 1),
    // Several, and of several models.
    ("aarch64", "bpim2u", 512, 2),
    ("aarch64", "ast2600-evb", 1024, 4),
    ("aarch64", "npcm750-evb", 512, 4),
    ("riscv64", "sifive_u", 128, 1),
    // In other parts, or in the machine itself.
    ("aarch64", "amd-versal-virt", 1024, 2),
    ("riscv64", "amd-microblaze-v-generic", 1024, 2),
    // Without a chip around them, or without any.
    ("aarch64", "mps2-an385", 16, 1),
    ("aarch64", "raspi3b", 1024, 0),
];

/// Boots a board without an operating system.
fn boot((architecture, machine, memory, _): Board, options: &[String]) -> Guest {
    Spec::new("board")
        .program(&tool(&format!("qemu-system-{architecture}")))
        .machine(machine)
        .memory(memory)
        .vcpus(0, 0)
        .options(options)
        .boot()
}

/// The tap of each NIC that QEMU lists, in no order.
fn truth(guest: &Guest) -> Vec<Option<String>> {
    let command = json!({ "command-line": "info network" });
    let text = guest.side().ask_with("human-monitor-command", command);
    let mut nics = Vec::new();
    for line in text.as_str().unwrap().lines() {
        let tap = line.split([',', ' ']).find_map(|word| word.strip_prefix("ifname="));
        if line.contains("index=0,type=nic") {
            nics.push(None);
        } else if let Some(nic) = nics.last_mut().filter(|_| line.starts_with(" \\")) {
            *nic = tap.map(str::to_owned);
        }
    }
    nics.sort();
    nics
}

/// Checks the NICs of a board with these options, and returns their number.
fn check(board: Board, options: &[String]) -> usize {
    let guest = boot(board, options);
    let truth = truth(&guest);
    for policy in POLICIES {
        let connect = Connect::open(policy).unwrap();
        for call in ["first", "second"] {
            let what = format!("{board:?}, {options:?}, {policy}, {call} call");
            let request = StatsRequest::new().groups(StatsGroups::INTERFACE).timeout(PATIENCE);
            let report = connect.all_domain_stats(&request).unwrap();
            let record = report.domain(guest.name()).unwrap();
            let found = record.interface.as_ref().unwrap();
            let mut names: Vec<_> =
                found.interfaces.iter().map(|nic| nic.name.clone().map(String::from)).collect();
            names.sort();
            assert_eq!(names, truth, "{what}");
            assert_eq!(found.count, Some(truth.len() as u32), "{what}");
            let why = record.why_missing(StatsGroups::INTERFACE).map(|missing| &missing.reason);
            let is_bare = truth.contains(&None);
            assert_eq!(why, is_bare.then_some(&MissingReason::Unsupported), "{what}");
        }
    }
    truth.len()
}

#[test]
fn nics_of_boards_are_found_wherever_they_are() {
    alone!(in "sid");
    for board in BOARDS {
        let own = board.3;
        assert_eq!(check(board, &[]), own, "{board:?}");
        let taps = [(); 2].map(|()| lab().tap_name());
        let nic =
            |tap: &String| ["-nic".to_owned(), format!("tap,ifname={tap},script=no,downscript=no")];
        // The board uses as many as it has, in an order of its own.
        assert_eq!(check(board, &taps.each_ref().map(nic).concat()), own, "{board:?}");
    }
}

#[test]
fn a_board_without_a_usable_monitor_may_have_nics() {
    alone!(in "sid");
    let program = tool("qemu-system-aarch64");
    for (machine, count) in [("sabrelite", None), ("virt", Some(0))] {
        let guest = Spec::new("mute")
            .program(&program)
            .machine(machine)
            .memory(512)
            .vcpus(0, 0)
            .without_monitor()
            .boot();
        let connect = Connect::open(POLICIES[0]).unwrap();
        let request = StatsRequest::new().groups(StatsGroups::INTERFACE).timeout(PATIENCE);
        let report = connect.all_domain_stats(&request).unwrap();
        let record = report.domain(guest.name()).unwrap();
        let told = record.interface.as_ref().and_then(|it| it.count);
        assert_eq!(told, count, "{machine}");
        let why = record.why_missing(StatsGroups::INTERFACE);
        assert_eq!(why.is_some(), count.is_none(), "{machine}: {why:?}");
    }
}
