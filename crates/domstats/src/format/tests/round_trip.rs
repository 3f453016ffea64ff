//! Documents read back unchanged, and unknown content survives.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{ErrorKind, StatsReport, format::sample};

#[test]
fn the_canonical_report_reads_back() {
    let report = sample::canonical();
    assert_eq!(StatsReport::from_xml(&report.to_xml()).unwrap().to_xml(), report.to_xml());
    let json = StatsReport::from_json(&report.to_json()).unwrap();
    assert_eq!(json, report);
}

#[test]
fn the_documents_of_the_rfc_are_read() {
    let xml = "<domainstats>
  <domain name='vm1'>
    <state>running</state>
    <cpus>
      <cpu id='1'>
        <state>running</state>
        <time>10001231231</time>
      </cpu>
      <cpu id='2'>
        <state>offline</state>
        <time>10001231231</time>
      </cpu>
    </cpus>
  </domain>
  <domain name='vm2'>
    <state>paused</state>
  </domain>
</domainstats>
";
    let report = StatsReport::from_xml(xml).unwrap();
    assert_eq!(report.domains[0].vcpu.as_ref().unwrap().cpus[1].time, Some(10_001_231_231));
    assert_eq!(report.to_xml(), xml);
}

/// A document with unknown content on every level.
const NEWER: &str = "<domainstats host='h' time='2026-11-22T20:00:00.123456789Z' elapsed='5'>
  <domain mood='calm' name='vm1' uuid='c0ffee00-0000-4000-8000-000000000001' id='7'>
    <state hue='red' reason='booted'>running<since>now</since></state>
    <cpu>
      <time unit='ns'>5</time>
      <cache size='9'>
        <count>1</count>
        <monitor lock='no' name='m' vcpus='0-3'>
          <age>3</age>
        </monitor>
        <spare/>
      </cache>
      <cores><core>1</core><core>2</core></cores>
    </cpu>
    <cpus current='1'>
      <cpu id='3'><state>sideways</state><time>7</time><flags/></cpu>
      <cpu id='many'/>
    </cpus>
    <blocks>
      <block index='4' name='vda'><rd fast='yes'><reqs>1</reqs><zeroed>2</zeroed></rd></block>
    </blocks>
    <gpu n='1'>text<_ name='0'><load>0.5</load></_></gpu>
    <missing since='noon' group='perf' reason='asleep'>z<b/>z</missing>
    <missing because='no group'/>
  </domain>
  <missing domain='vm2' reason='gone' code='38'/>
  <weather>rain</weather>
</domainstats>";

#[test]
fn unknown_content_survives_in_xml() {
    let report = StatsReport::from_xml(NEWER).unwrap();
    let xml = report.to_xml();
    for piece in [
        " host='h'",
        " mood='calm'",
        "<state reason='booted' hue='red'>running<since>now</since></state>",
        "<time unit='ns'>5</time>",
        "<cache size='9'>",
        "lock='no'",
        "<age>3</age>",
        "<spare></spare>",
        "<core>1</core>",
        "<core>2</core>",
        "<state>sideways</state>",
        "<flags></flags>",
        "<cpu id='many'/>",
        "<rd fast='yes'>",
        "<zeroed>2</zeroed>",
        "<gpu n='1'>text<_ name='0'><load>0.5</load></_></gpu>",
        " since='noon'",
        "reason='asleep'",
        "<missing because='no group'/>",
        " code='38'",
        "<weather>rain</weather>",
    ] {
        assert!(xml.contains(piece), "{piece} is lost:\n{xml}");
    }
    assert_eq!(StatsReport::from_xml(&xml).unwrap(), report);
    let cpu = report.domains[0].cpu.as_ref().unwrap();
    assert_eq!(cpu.time, Some(5));
    assert_eq!(cpu.cache_monitors[0].name.as_deref(), Some("m"));
    let block = &report.domains[0].block.as_ref().unwrap().blocks[0];
    assert_eq!((block.index, block.rd_reqs), (4, Some(1)));
}

#[test]
fn unknown_content_survives_conversion_to_json() {
    let report = StatsReport::from_xml(NEWER).unwrap();
    let through = StatsReport::from_json(&report.to_json()).unwrap();
    assert_eq!(through, report);
    assert_eq!(through.to_xml(), report.to_xml());
}

#[test]
fn unknown_content_survives_in_json() {
    let json = r#"{"host": null, "big": 18446744073709551615, "list": [1, [2, {"a": []}], {}],
        "domains": [{"name": "vm1", "0": {"é b": true}, "cpu": {"time": "soon", "x": -1.25e-7},
            "perf": [1], "vm": null,
            "cpus": {"current": 2, "cpu": [{"id": 1, "time": 4, "n": [[]]}, 7, {"id": 1}]}}]}"#;
    let report = StatsReport::from_json(json).unwrap();
    let domain = &report.domains[0];
    assert_eq!(domain.cpu.as_ref().unwrap().time, None);
    assert_eq!(domain.vcpu.as_ref().unwrap().cpus[0].time, Some(4));
    assert!(domain.vm.is_none() && domain.perf.is_none());
    let again: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let mut before: serde_json::Value = serde_json::from_str(json).unwrap();
    // `null` for something known means absent.
    before["domains"][0].as_object_mut().unwrap().remove("vm");
    assert_eq!(again, before);
    // In XML everything is text; nothing is lost, and it is stable from then on.
    let xml = report.to_xml();
    for piece in ["18446744073709551615", "soon", "-0.000000125", "<_ name='é b'>true</_>"] {
        assert!(xml.contains(piece), "{piece} is lost:\n{xml}");
    }
    let through = StatsReport::from_xml(&xml).unwrap();
    assert_eq!(StatsReport::from_xml(&through.to_xml()).unwrap(), through);
}

#[test]
fn numbers_that_json_cannot_spell_read_back() {
    for number in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, 0.1] {
        let mut report = sample::canonical();
        let group = &mut report.domains[0].block.as_mut().unwrap().blocks[0].timed_groups[0];
        group.rd_queue_depth_avg = Some(number);
        assert_eq!(StatsReport::from_json(&report.to_json()).unwrap(), report);
        let mut xml = StatsReport::from_xml(&report.to_xml()).unwrap();
        let group = &mut xml.domains[0].block.as_mut().unwrap().blocks[0].timed_groups[0];
        assert_eq!(group.rd_queue_depth_avg.map(f64::to_bits), Some(number.to_bits()));
    }
}

#[test]
fn invalid_documents_are_rejected_with_their_position() {
    for (text, place) in [
        ("", "no element"),
        ("<domainstats>", "ends inside <domainstats>"),
        ("<domainstats>\n  <domain name='a'></cpu></domainstats>", "line 2"),
        ("<domainstats>\n<domain name='a' name='b'/></domainstats>", "line 2"),
        ("<domainstats>\n\n<domain name='&nope;'/></domainstats>", "line 3"),
        ("<domainstats>&nope;</domainstats>", "'&nope;'"),
        ("<domainstats/><domainstats/>", "second document"),
        ("<domainstats><domain/></domainstats>", "domain 1"),
        ("<domain name='a'/>", "<domain>"),
        ("hello", "outside"),
    ] {
        let error = StatsReport::from_xml(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
        assert!(error.to_string().contains(place), "{text}: {error}");
    }
    let deep = "<a>".repeat(100_000);
    assert!(StatsReport::from_xml(&deep).unwrap_err().to_string().contains("60 deep"));
    for (text, place) in [
        ("", "line 1"),
        ("{\n\"domains\": [\n", "line 3"),
        ("{\"domains\": [{}]}", "domain 1"),
        ("{\"domains\": [7]}", "domain 1"),
        ("[]", "'domains'"),
        (&"[".repeat(100_000), "recursion"),
    ] {
        let error = StatsReport::from_json(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
        assert!(error.to_string().contains(place), "{error}");
    }
}

/// The cost of a hostile document is linear in its length.
#[test]
fn a_long_list_and_a_long_tag_are_read_and_written_in_time() {
    const MANY: usize = 40_000;
    let each = |many: usize, what: fn(usize) -> String| (0..many).map(what).collect::<String>();
    let documents: [&dyn Fn(usize) -> String; 4] = [
        &|many| each(many, |number| format!("<stat name='s{number}'><cur>1</cur></stat>")),
        &|many| each(many, |number| format!("<stat name='s{}'/>", number % 2)),
        &|many| format!("<stat name='s'{}/>", each(many, |number| format!(" a{number}='1'"))),
        &|many| format!("<stat name='s'>{}</stat>", each(many, |number| format!("<a{number}/>"))),
    ];
    // The CPU time of the thread does not depend on the load of the machine.
    let cost = |inside: &str| {
        let start = clock_gettime(ClockId::ThreadCPUTime);
        let xml = format!("<domainstats><domain name='a'><vm>{inside}</vm></domain></domainstats>");
        let report = StatsReport::from_xml(&xml).unwrap();
        assert_eq!(StatsReport::from_xml(&report.to_xml()).unwrap(), report);
        assert_eq!(StatsReport::from_json(&report.to_json()).unwrap(), report);
        assert!(report.to_openmetrics().ends_with("# EOF\n"));
        let end = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(end - start).unwrap()
    };
    for document in documents {
        let few = document(MANY / 8);
        let of_few = cost(&few).min(cost(&few));
        let of_many = cost(&document(MANY));
        assert!(of_many < of_few * 14, "{of_few:?} and {of_many:?}: {}", &few[..100]);
    }
}
