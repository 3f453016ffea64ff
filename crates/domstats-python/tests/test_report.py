"""The report: typed statistics, what is missing and why, and the documents."""

import copy
import datetime
import json
import pickle
import time
import uuid

import pytest

import domstats

FIXED = "test:///default?clock=fixed"


@pytest.fixture
def connection():
    return domstats.open(FIXED)


def test_a_report_has_typed_records(connection):
    report = connection.stats()
    assert [domain.name for domain in report.domains] == ["vm1", "vm2", "vm3", "vm4"]
    running, *_, off = report.domains
    assert isinstance(running, domstats.DomainStats)
    assert isinstance(running.uuid, uuid.UUID)
    assert (running.id, running.persistent, off.id) == (1, True, None)
    assert (running.state.state, running.state.reason) == ("running", "booted")
    assert running.cpu.time == 925970468256000
    assert (running.vcpu.maximum, running.vcpu.cpus[0].id) == (1, 0)
    disk = running.block.blocks[0]
    assert isinstance(disk, domstats.Block)
    assert (disk.index, disk.name, type(disk.rd_reqs)) == (0, "vda", int)
    assert report.domains is report.domains
    assert repr(report) == "<StatsReport: 4 domains, 0 missing>"


def test_every_value_of_the_flat_form_is_in_the_typed_one(connection):
    def key(section):
        """Return what stands in the keys of the flat form, not among its values."""
        if isinstance(section, domstats.DomainStats):
            return ("name", "uuid", "id", "persistent")
        if isinstance(section, (domstats.HypervisorStat, domstats.HypervisorHistogram)):
            return ("name",)
        return ("index",) if "index" in section else ("id",)

    def count(value):
        if isinstance(value, domstats.Section):
            return sum(count(inner) for name, inner in value.items() if name not in key(value))
        if isinstance(value, domstats.MissingGroup):
            return 0
        if isinstance(value, tuple) and value and isinstance(value[0], int):
            return 1
        return sum(map(count, value)) if isinstance(value, tuple) else 1

    flat = [stats for _, stats in connection.getAllDomainStats()]
    typed = connection.stats().domains
    assert [count(domain) for domain in typed] == [len(stats) for stats in flat]


def test_the_bins_of_a_histogram_are_numbers(connection):
    domain = connection.stats().domains[2]
    name, bins = next((h.name, h.log2) for h in domain.vcpu.cpus[0].histograms if h.log2)
    assert isinstance(bins, tuple) and len(bins) > 1
    assert all(type(number) is int for number in bins)
    flat = connection.getAllDomainStats()[2][1]
    assert flat[f"vcpu.0.{name}.log2"] == " ".join(map(str, bins))


def test_what_was_not_read_is_absent(connection):
    running, *_, off = connection.stats().domains
    assert off.cpu is None and off.block.blocks[0].rd_reqs is None
    assert running.block.blocks[0].read_histogram is None
    assert running.cpu.cache_monitors == ()
    with pytest.raises(AttributeError):
        running.block.blocks[0].rd_request


def test_a_section_is_a_mapping_of_what_was_read(connection):
    (domain,) = connection.stats("cpu-total", domains=[connection.lookupByName("vm1")]).domains
    assert list(domain) == ["name", "uuid", "id", "persistent", "cpu"]
    assert domain.cpu["time"] == domain.cpu.time
    assert "haltpoll_fail" not in domain.cpu and domain.cpu.get("haltpoll_fail") is None
    assert dict(domain.cpu) == {key: getattr(domain.cpu, key) for key in ("time", "user", "system")}
    assert repr(domain.cpu).startswith("Cpu(time=925970468256000, user=")
    assert "haltpoll_fail" in dir(domain.cpu)
    assert copy.deepcopy(domain) == domain == pickle.loads(pickle.dumps(domain))


def test_groups_and_filters_have_names(connection):
    def groups(argument):
        domain = connection.stats(argument, filter="running").domains[0]
        return [key for key, value in domain.items() if isinstance(value, domstats.Section)]

    assert groups("cpu-total") == groups(["CPU_TOTAL"]) == groups(domstats.VIR_DOMAIN_STATS_CPU_TOTAL)
    assert groups("cpu-total") == ["cpu"]
    assert groups({"block", "state"}) == ["state", "block"]
    assert groups(["cpu"]) == ["cpu", "vcpu"]
    assert len(groups(())) > 5
    names = [domain.name for domain in connection.stats(filter=("paused", "shutoff")).domains]
    assert names == ["vm2", "vm4"]
    with pytest.raises(ValueError, match="no group has the name 'cpus'"):
        connection.stats("cpus")
    with pytest.raises(ValueError, match="no filter has the name 'asleep'"):
        connection.stats(filter=["asleep"])
    for wrong in (1.5, [1]):
        with pytest.raises(TypeError):
            connection.stats(wrong)


def test_options_are_those_of_libvirt(connection):
    with pytest.raises(domstats.libvirtError) as caught:
        connection.stats(1 << 20, enforce=True)
    assert caught.value.get_error_code() == domstats.VIR_ERR_ARGUMENT_UNSUPPORTED
    blocks = [connection.stats("block", backing=backing).domains for backing in (False, True)]
    disks, images = ([len(domain.block.blocks) for domain in domains] for domains in blocks)
    assert sum(disks) < sum(images)
    assert len(connection.stats(nowait=True).domains) == 4


def test_what_is_missing_has_its_reason():
    report = domstats.open("test:///default?hang=vm1").stats(timeout=0.1)
    assert not report.complete
    assert 0.05 < report.elapsed < 2
    stuck = report.domains[0]
    missing = {group.group: group for group in stuck.missing}
    assert missing["block"].reason == "timeout" and missing["block"].text
    assert stuck.block is None and stuck.cpu is not None


def test_domains_without_a_record_are_missing():
    connection = domstats.open("test:///default?vanish=vm2")
    report = connection.stats()
    assert [domain.name for domain in report.domains] == ["vm1", "vm3", "vm4"]
    (gone,) = report.missing
    assert isinstance(gone, domstats.MissingDomain)
    assert (gone.name, gone.id, gone.reason) == ("vm2", 2, "gone")


def test_a_timeout_is_kept_and_is_a_number_of_seconds():
    connection = domstats.open("test:///default?hang=vm1")
    for call in (connection.stats, connection.getAllDomainStats):
        start = time.monotonic()
        call(timeout=0.05)
        assert time.monotonic() - start < 0.9
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="number of seconds"):
            connection.stats(timeout=wrong)
        with pytest.raises(ValueError, match="number of seconds"):
            domstats.open("test:///default", timeout=wrong)
    with pytest.raises(TypeError):
        connection.stats(timeout="1s")


def test_a_report_is_a_document(connection):
    report = connection.stats(["state", "cpu"])
    assert report.time == datetime.datetime(2026, 1, 31, tzinfo=datetime.timezone.utc)
    document = json.loads(report.to_json())
    assert document["domains"][0]["cpu"]["time"] == report.domains[0].cpu.time
    assert "<state reason='booted'>running</state>" in report.to_xml()
    assert "  cpu.time=925970468256000" in report.to_text()
    assert report.to_table().startswith("NAME")
    assert report.to_openmetrics().endswith("# EOF\n")


def test_what_a_newer_version_says_is_kept(tmp_path):
    saved = tmp_path / "saved.xml"
    saved.write_text(
        "<domainstats><domain name='a'><state hue='red'>dreaming</state></domain></domainstats>"
    )
    (domain,) = domstats.open(f"test://{saved}").stats().domains
    assert domain.state.extra["hue"] == "red"
    assert domain.uuid is None


def test_every_class_and_call_says_what_it_is():
    assert "\n    rd_bytes (B): Bytes read.\n" in domstats.Block.__doc__
    for name, thing in vars(domstats).items():
        if name.startswith("_"):
            continue
        if name.startswith("VIR_"):
            assert type(thing) is int
            continue
        assert thing.__doc__, name
        for method in vars(thing) if name in ("virConnect", "virDomain", "StatsReport") else ():
            assert method.startswith("_") or getattr(thing, method).__doc__, method


def test_one_build_serves_every_newer_python():
    assert domstats._domstats.__file__.endswith(".abi3.so")


def test_whose_a_domain_is_and_what_others_claim_too(tmp_path):
    saved = tmp_path / "saved.xml"
    saved.write_text(
        "<domainstats>"
        "<domain name='a' uid='1000' id='7' untrusted='true'><state>running</state></domain>"
        "<domain name='a' id='8'><state>running</state></domain>"
        "<missing domain='b' uid='0' id='9' reason='timeout'/>"
        "</domainstats>"
    )
    connection = domstats.open(f"test://{saved}")
    report = connection.stats()
    stranger, told = report.domains
    assert (stranger.uid, stranger.untrusted, stranger.conflict) == (1000, True, ("name",))
    assert (told.uid, told.untrusted, told.conflict) == (None, False, ("name",))
    assert (report.missing[0].uid, report.missing[0].conflict) == (0, ())
    assert connection.lookupByName("a").ID() == 8
    assert connection.lookupByID(7).isActive() == 1


def test_a_name_that_two_have_means_nobody(tmp_path):
    saved = tmp_path / "saved.xml"
    saved.write_text(
        "<domainstats><domain name='a' id='7'/><domain name='a' id='8'/></domainstats>"
    )
    with pytest.raises(domstats.libvirtError) as failure:
        domstats.open(f"test://{saved}").lookupByName("a")
    assert failure.value.get_error_code() == 55
    assert "'a' (id 7), 'a' (id 8)" in str(failure.value)
