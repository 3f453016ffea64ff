use std::path::Path;

use crate::driver::qemu::discovery::{
    command_line::*,
    monitor_option::{Address, Role, is_libvirt_monitor},
};

fn network(id: Option<&str>, backend: Backend) -> Network {
    Network { id: id.map(str::to_owned), hub: None, backend }
}

fn first(line: &CommandLine) -> Option<PathBuf> {
    line.sockets().next()?.path().map(Path::to_owned)
}

fn parse(text: &str) -> CommandLine {
    let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    CommandLine::parse(&arguments, &|name| Err(format!("no file {name}")))
}

fn socket(chardev: Option<&str>, path: &str, waits: bool) -> MonitorOption {
    MonitorOption {
        chardev: chardev.map(str::to_owned),
        address: Address::Unix(path.into()),
        role: Role::Server { waits },
    }
}

#[test]
fn started_by_hand() {
    let line = parse(
        "qemu-system-x86_64 -daemonize -name guest=a,,b,debug-threads=on --uuid \
         11111111-2222-3333-4444-555555555501 -qmp unix:/run/a.qmp,server=on,wait=off -m 1.5G \
         -smp 2,maxcpus=8 -netdev tap,ifname=tap0,id=n0 -netdev user,id=n1 -nic none \
         -nic bridge,br=br0 -net nic -net tap,ifname=tap1,id=n2 -device virtio-balloon-pci",
    );
    assert_eq!(line.name.as_deref(), Some("a,b"));
    assert_eq!(line.uuid, Some("11111111-2222-3333-4444-555555555501".parse().unwrap()));
    assert_eq!(first(&line), Some("/run/a.qmp".into()));
    assert_eq!((line.memory_kib, line.memory_hotplug), (Some(1_572_864), false));
    assert_eq!(line.maximum_vcpus, Some(8));
    assert_eq!(
        line.networks,
        [
            network(Some("n0"), Backend::Tap("tap0".into())),
            network(Some("n1"), Backend::Other),
            network(None, Backend::TapFds(Vec::new())),
            Network { hub: Some(0), ..network(None, Backend::Tap("tap1".into())) },
        ]
    );
    assert_eq!(line.balloon, Some(None));
}

#[test]
fn started_by_libvirt_with_a_second_monitor() {
    let line = parse(
        r#"/usr/bin/qemu-system-x86_64 -name guest=vm,debug-threads=on -m size=32768k,slots=4,maxmem=1G
           -chardev socket,id=charmonitor,fd=28,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control
           -netdev {"type":"tap","fd":"31","id":"hostnet0"} -netdev tap,fds=32:33,id=hostnet1
           -device {"driver":"virtio-balloon-pci","id":"balloon0","bus":"pci.3"} -S
           -qmp unix:/run/second.qmp,server,nowait"#,
    );
    assert_eq!(
        line.monitors,
        [
            MonitorOption {
                chardev: Some("charmonitor".to_owned()),
                address: Address::Descriptor("28".to_owned()),
                role: Role::Server { waits: false },
            },
            socket(None, "/run/second.qmp", false),
        ]
    );
    assert!(line.monitors[0].is_libvirts() && !line.monitors[1].is_libvirts());
    assert_eq!(first(&line), Some("/run/second.qmp".into()));
    assert_eq!((line.memory_kib, line.memory_hotplug), (Some(32_768), true));
    assert_eq!(
        line.networks,
        [
            network(Some("hostnet0"), Backend::TapFds(vec![31])),
            network(Some("hostnet1"), Backend::TapFds(vec![32, 33])),
        ]
    );
    assert_eq!(line.balloon, Some(Some("balloon0".into())));
}

/// The command line of a QEMU 11.1 started by libvirt 12.8.0, one argument per line; the domain's
/// description added `-qmp`.
#[test]
fn started_by_libvirt_12() {
    let text = include_str!("recorded/libvirt-12.8.0.txt");
    let arguments: Vec<_> = text.lines().map(str::to_owned).collect();
    let line = CommandLine::parse(&arguments, &|path| panic!("{path} is not one of its files"));
    assert_eq!(line.name.as_deref(), Some("vm"));
    let uuid = "804e006e-3d7a-4810-bd92-cbe6d5f442a2";
    assert_eq!(line.uuid, Some(uuid.parse().unwrap()));
    assert_eq!(line.monitors.len(), 2);
    assert!(line.monitors[0].is_libvirts() && !line.monitors[1].is_libvirts());
    assert_eq!(first(&line), Some("/lib/vm.qmp".into()));
    assert_eq!((line.memory_kib, line.memory_hotplug), (Some(16_384), false));
    assert_eq!(line.maximum_vcpus, Some(4));
    let tap = network(Some("hostnet0"), Backend::TapFds(vec![25]));
    assert_eq!((line.networks.len(), &line.networks[0]), (2, &tap));
    assert_eq!(line.balloon, Some(Some("balloon0".into())));
}

#[test]
fn started_by_proxmox() {
    let line = parse(
        "/usr/bin/kvm -id 100 -name web,debug-threads=on -no-shutdown \
         -chardev socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off \
         -mon chardev=qmp,mode=control \
         -chardev socket,id=qmp-event,path=/var/run/qmeventd.sock,reconnect=5 \
         -mon chardev=qmp-event,mode=control -smp 4,sockets=2,cores=2,maxcpus=4 \
         -netdev type=tap,id=net0,ifname=tap100i0,script=/x",
    );
    assert_eq!(line.name.as_deref(), Some("web"));
    assert_eq!(first(&line), Some("/var/run/qemu-server/100.qmp".into()));
    assert_eq!(line.monitors[1].role, Role::Client, "the event socket is no server");
    assert_eq!(line.sockets().count(), 1);
    assert_eq!(line.networks, [network(Some("net0"), Backend::Tap("tap100i0".into()))]);
}

#[test]
fn a_monitor_of_libvirt_is_known_by_its_path() {
    for path in [
        "/var/lib/libvirt/qemu/domain-1-vm/monitor.sock",
        "/root/.config/libvirt/qemu/lib/domain-12-x/monitor.sock",
        "/var/lib/libvirt/qemu/vm.monitor",
        "/var/lib/libvirt/qemu/qmp-ABCDEF/qmp.monitor",
        "/var/lib/libvirt/qemu/capabilities.monitor.sock",
    ] {
        assert!(is_libvirt_monitor(Path::new(path)), "{path}");
        let line = parse(&format!("kvm -qmp unix:{path},server"));
        assert!(line.monitors[0].is_libvirts());
        assert_eq!(first(&line), None);
    }
    assert!(!is_libvirt_monitor(Path::new("/run/vms/monitor.sock")));
}

#[test]
fn knows_whether_a_monitor_waits_for_its_first_client() {
    for (options, waits) in [
        ("server", true),
        ("server=on", true),
        ("server=y,wait", true),
        ("server=yes,wait=true", true),
        ("server=true,wait=y", true),
        ("server,wait=off,wait=on", true),
        ("server,nowait", false),
        ("server=on,wait=off", false),
        ("server,wait=n", false),
        ("server,wait=no", false),
        ("wait=false,server", false),
        ("server,wait=on,nowait", false),
    ] {
        for text in [
            format!("kvm -qmp unix:/q,{options}"),
            format!("kvm -qmp-pretty unix:/q,{options}"),
            format!("kvm -chardev socket,id=c,path=/q,{options} -mon c,mode=control"),
            format!("kvm -mon chardev=c,mode=control -chardev socket,id=c,path=/q,{options}"),
            format!(
                "kvm -object monitor-qmp,id=m,chardev=c -chardev socket,id=c,path=/q,{options}"
            ),
            format!(
                r#"kvm -chardev socket,id=c,path=/q,{options}
                   -object {{"qom-type":"monitor-qmp","id":"m","chardev":"c"}}"#
            ),
        ] {
            let line = parse(&text);
            let chardev = text.contains("chardev").then_some("c");
            assert_eq!(line.monitors, [socket(chardev, "/q", waits)], "{text}");
            assert_eq!(line.has_waiting_monitor(), waits);
        }
    }
    assert_eq!(parse("kvm -qmp unix:/q,noserver").monitors[0].role, Role::Client);
    let libvirt = parse(
        r#"kvm -chardev socket,id=charmonitor,fd=28,server=on,wait=off
           -object {"qom-type":"monitor-qmp","id":"monitor","chardev":"charmonitor"}"#,
    );
    assert!(libvirt.monitors[0].is_libvirts());
}

/// What a QEMU 7.2 reported about itself with these options.
#[test]
fn repeated_options() {
    let memory = |text: &str| {
        let line = parse(&format!("kvm {text}"));
        (line.memory_kib, line.memory_hotplug)
    };
    for (text, kib, hotplug) in [
        ("-m 64 -m slots=2,maxmem=1G", Some(65_536), true),
        ("-m slots=2,maxmem=1G -m 64", Some(65_536), true),
        ("-m size=40M,size=44M", Some(45_056), false),
        ("--m 64", Some(65_536), false),
        ("-m 0x20", Some(32_768), false),
        ("-m 1.5G", Some(1_572_864), false),
        ("-m 65536k", Some(65_536), false),
        ("-m 33554432b", Some(32_768), false),
        ("-m 33000001b", Some(32_232), false),
        ("-m 0", None, false),
        ("-m many", None, false),
        ("-m 99999999E", None, false),
        ("-machine memory.size=48M", Some(49_152), false),
        ("-machine memory.size=50331648", Some(49_152), false),
        ("-m 64 -machine memory.size=48M", Some(65_536), false),
        ("-machine memory.size=48M,memory.max-size=1G -m slots=2", Some(49_152), true),
    ] {
        assert_eq!(memory(text), (kib, hotplug), "{text}");
    }
    for (text, maximum) in [
        ("-smp 2 -smp maxcpus=8", Some(8)),
        ("-smp maxcpus=8 -smp 2", Some(8)),
        ("-smp cpus=2 -smp cpus=1,maxcpus=3", Some(3)),
        ("-smp cpus=2,cpus=3", Some(3)),
        ("-smp sockets=2 -smp cores=2", Some(4)),
        ("-smp dies=2,cores=2", Some(4)),
        ("-smp maxcpus=4", Some(4)),
        ("-smp 0x2", Some(2)),
        ("-smp 010", Some(8)),
        ("-machine smp.cpus=3", Some(3)),
        ("-smp 2 -machine smp.maxcpus=5", Some(5)),
        ("-smp drawers=2,books=3,sockets=2,cores=2", Some(24)),
        ("-smp sockets=1,dies=2,modules=3,clusters=2,threads=2", Some(24)),
        ("-smp sockets=65536,cores=65536", None),
        ("-machine pc", None),
    ] {
        assert_eq!(parse(&format!("kvm {text}")).maximum_vcpus, maximum, "{text}");
    }
    for (text, name) in [
        ("-name a -name debug-threads=on", Some("a")),
        ("-name guest=a -name guest=b", Some("b")),
        ("-name a,,b=c", Some("a,b=c")),
        ("-name guest=a,debug-threads -name process=b", Some("a")),
        ("-name {\"guest\":\"x\"}", Some("{\"guest\":\"x\"}")),
        ("-name -x -S", Some("-x")),
        ("-append -name disk.img", None),
    ] {
        assert_eq!(parse(&format!("kvm {text}")).name.as_deref(), name, "{text}");
    }
    const ONE: &str = "11111111-2222-3333-4444-555555555501";
    const TWO: &str = "11111111-2222-3333-4444-555555555502";
    for text in [
        format!("-uuid {TWO} -uuid {ONE}"),
        format!("-uuid {TWO} -smbios type=1,uuid={ONE}"),
        format!("-smbios type=1,uuid={TWO} -uuid {ONE}"),
        format!("-smbios type=1,uuid={TWO} -smbios type=0x1,uuid={ONE}"),
        format!("-smbios type=1,uuid={ONE} -smbios type=1,serial=x -smbios type=3,uuid={TWO}"),
    ] {
        assert_eq!(parse(&format!("kvm {text}")).uuid, Some(ONE.parse().unwrap()), "{text}");
    }
}

#[test]
fn files_apply_at_their_position() {
    let read = |text: &str, is_changed| {
        let arguments: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        CommandLine::parse(&arguments, &|name| match name {
            "a" => Ok(ConfigFile {
                text:
                    "[memory]\n size = \"64M\"\n[smp-opts]\n cpus = \"2\"\n[name]\n guest = \"f\"\n\
                       [chardev \"c\"]\n backend = \"socket\"\n path = \"/q\"\n server = \"on\"\n\
                       wait = \"off\"\n[mon]\n chardev = \"c\"\n mode = \"control\"\n\
                       [netdev \"n\"]\n type = \"tap\"\n ifname = \"tap7\"\n\
                       [device \"b\"]\n driver = \"virtio-balloon-pci\"\n"
                        .to_owned(),
                is_changed,
            }),
            "bad" => Ok(ConfigFile { text: "x".to_owned(), is_changed }),
            USER_CONFIG => Ok(ConfigFile {
                text: "[memory]\n size = \"16M\"\n[smp-opts]\n maxcpus = \"9\"\n".to_owned(),
                is_changed,
            }),
            name => Err(format!("{name} is not there")),
        })
    };
    let line = read("kvm -no-user-config -readconfig a", false);
    assert_eq!(line.name.as_deref(), Some("f"));
    assert_eq!((line.memory_kib, line.maximum_vcpus), (Some(65_536), Some(2)));
    assert_eq!(line.monitors, [socket(Some("c"), "/q", false)]);
    assert_eq!(line.networks, [network(Some("n"), Backend::Tap("tap7".into()))]);
    assert_eq!(line.balloon, Some(Some("b".into())));
    assert_eq!((line.unread, line.memory_hotplug), (None, false));
    let line = read("kvm -readconfig a -m 32 -name x -set chardev.c.path=/r", false);
    assert_eq!((line.name.as_deref(), line.memory_kib), (Some("x"), Some(32_768)));
    assert_eq!(line.maximum_vcpus, Some(9), "the user's own file comes first");
    assert_eq!(line.monitors, [socket(Some("c"), "/r", false)]);
    assert_eq!(read("kvm -m 32 --no-user-config -readconfig a", false).memory_kib, Some(65_536));
    assert_eq!(read("kvm", false).memory_kib, Some(16_384));
    // Uncertain values are absent; the monitor that the file names is used.
    for (text, is_changed, monitor, unread) in [
        ("kvm -no-user-config -m 32 -readconfig a", true, true, "a (-readconfig) was changed"),
        ("kvm -no-user-config -readconfig gone -readconfig a", false, true, "gone is not there"),
        ("kvm -no-user-config -m 32 -readconfig bad", false, false, "line 1 of bad"),
        ("kvm -m 32", true, false, "qemu.conf (-readconfig) was changed"),
    ] {
        let line = read(text, is_changed);
        assert!(line.unread.as_ref().unwrap().contains(unread), "{line:?}");
        assert_eq!((line.memory_kib, line.memory_hotplug, line.maximum_vcpus), (None, true, None));
        assert_eq!(line.sockets().count(), usize::from(monitor), "{text}");
    }
    let many = format!("kvm -no-user-config {}", "-readconfig a ".repeat(17));
    assert!(read(&many, false).unread.unwrap().contains("more than 16"));
}

#[test]
fn only_the_first_of_many_monitors_are_used() {
    let one = "-chardev socket,id=c -mon c,mode=control -m 1 -set chardev.c.path=x -device y ";
    let text = format!("kvm -chardev socket,id=c,{} {}", "a=b,".repeat(9999), one.repeat(9999));
    assert_eq!(parse(&text).monitors.len(), 64);
}

#[test]
fn applies_set() {
    let line = parse(
        "kvm -chardev socket,id=c,path=/old,server=on,wait=off -mon id=m,chardev=c \
         -set mon.m.mode=control -set chardev.c.path=/a.b=c -netdev tap,id=n,ifname=x \
         -set netdev.n.ifname=tap1 -set netdev.other.ifname=y -set device -set a.b.c",
    );
    assert_eq!(line.monitors, [socket(Some("c"), "/a.b=c", false)]);
    assert_eq!(line.networks, [network(Some("n"), Backend::Tap("tap1".into()))]);
}

#[test]
fn a_probe_has_no_machine_and_libvirtds_monitor() {
    let probe = "qemu-system-x86_64 -S -no-user-config -nodefaults -nographic";
    let monitor = "-qmp unix:/var/lib/libvirt/qemu/qmp-Q9DA01/qmp.monitor,server=on,wait=off \
                   -pidfile /var/lib/libvirt/qemu/qmp-Q9DA01/qmp.pid -daemonize";
    let old = "-qmp unix:/var/lib/libvirt/qemu/capabilities.monitor.sock,server,nowait";
    for (text, is_probe) in [
        (format!("{probe} -machine none,accel=kvm:tcg {monitor}"), true),
        (format!("{probe} -machine none,accel=tcg {monitor}"), true),
        (format!("{probe} -M none {old}"), true),
        (format!("{probe} -machine pc {monitor}"), false),
        (format!("{probe} -machine none -M pc {monitor}"), false),
        (format!("{probe} -machine none -qmp unix:/run/q,server=on,wait=off"), false),
        (format!("{probe} -machine none"), false),
    ] {
        assert_eq!(parse(&text).is_probe, is_probe, "{text}");
    }
}
