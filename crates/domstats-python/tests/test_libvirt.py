"""The habits of libvirt-python: what a script finds whose import was changed."""

import uuid

import pytest

import domstats as libvirt

FIXED = "test:///default?clock=fixed"


@pytest.fixture
def connection():
    with libvirt.open(FIXED) as connection:
        yield connection


def refusal(call, *arguments):
    """Return the code and the domain of the error that a call raises."""
    with pytest.raises(libvirt.libvirtError) as caught:
        call(*arguments)
    error = caught.value
    assert error.get_error_level() == libvirt.VIR_ERR_ERROR
    assert error.get_error_message() == str(error)
    assert error.err[:2] == (error.get_error_code(), error.get_error_domain())
    return error.get_error_code(), error.get_error_domain()


def test_records_are_pairs_of_a_domain_and_a_dict(connection):
    records = connection.getAllDomainStats()
    assert [domain.name() for domain, _ in records] == ["vm1", "vm2", "vm3", "vm4"]
    assert all(isinstance(domain, libvirt.virDomain) for domain, _ in records)
    stats = records[0][1]
    assert type(stats) is dict
    # Numbers where documents have words, and the order of libvirt.
    assert list(stats.items())[:3] == [
        ("state.state", libvirt.VIR_DOMAIN_RUNNING),
        ("state.reason", libvirt.VIR_DOMAIN_RUNNING_BOOTED),
        ("cpu.time", 925970468256000),
    ]
    assert type(stats["block.0.name"]) is str and type(stats["block.0.rd.reqs"]) is int
    assert stats["block.count"] == sum(key.endswith(".rd.reqs") for key in stats)


def test_values_have_the_types_of_libvirt(tmp_path):
    saved = tmp_path / "saved.xml"
    saved.write_text(
        "<domainstats><domain name='a'>"
        "<cpu><energy><monitor index='0'><pkg index='0'><core_energy>1.5</core_energy></pkg></monitor>"
        "</energy></cpu>"
        "<cpus><cpu id='0'><state>running</state><halted>true</halted></cpu></cpus>"
        "</domain></domainstats>"
    )
    ((_, stats),) = libvirt.open(f"test://{saved}").getAllDomainStats()
    assert stats["vcpu.0.state"] == libvirt.VIR_VCPU_RUNNING
    assert stats["vcpu.0.halted"] is True
    assert stats["cpu.energy.monitor.0.pkg.0.core_energy"] == 1.5


def test_groups_and_filters_are_masks(connection):
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED
    ((domain, stats),) = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, flags)
    assert (domain.name(), stats) == ("vm2", {"state.state": 3, "state.reason": 1})
    by_name = connection.getAllDomainStats(stats=libvirt.VIR_DOMAIN_STATS_STATE, flags=flags)
    assert [stats for _, stats in by_name] == [stats]
    cpu = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_CPU)[0][1]
    assert {key.split(".")[0] for key in cpu} == {"cpu", "vcpu"}
    rest = connection.getAllDomainStats(~libvirt.VIR_DOMAIN_STATS_CPU)[0][1]
    assert not {"cpu", "vcpu"} & {key.split(".")[0] for key in rest}


def test_a_list_keeps_its_order_and_its_repetitions(connection):
    one, two = (connection.lookupByName(name) for name in ("vm1", "vm2"))
    records = connection.domainListGetStats([two, one, two], libvirt.VIR_DOMAIN_STATS_STATE)
    assert [domain.name() for domain, _ in records] == ["vm2", "vm1", "vm2"]
    assert records[0][1] == records[2][1]
    assert connection.domainListGetStats((one,))[0][0].connect() is connection
    other = libvirt.open(FIXED)
    assert other.domainListGetStats([one])[0][0].connect() is other
    for several in ({one}, {one: 1}, iter([one])):
        assert connection.domainListGetStats(several)[0][0].name() == "vm1"


def test_domains_are_found_and_say_who_they_are(connection):
    domains = connection.listAllDomains()
    assert [domain.ID() for domain in domains] == [1, 2, 3, -1]
    domain = domains[0]
    assert domain.connect() is connection
    assert uuid.UUID(bytes=domain.UUID()) == uuid.UUID(domain.UUIDString())
    for found in (
        connection.lookupByName("vm1"),
        connection.lookupByUUIDString(domain.UUIDString()),
        connection.lookupByUUID(domain.UUID()),
        connection.lookupByID(1),
    ):
        assert found.name() == "vm1"
    active = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    assert [domain.name() for domain in active] == ["vm1", "vm2", "vm3"]
    assert domain.state() == [libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED]
    assert [domain.isActive() for domain in domains] == [1, 1, 1, 0]
    assert domain.isPersistent() == 1


def test_a_domain_may_have_no_uuid(tmp_path):
    saved = tmp_path / "saved.xml"
    saved.write_text("<domainstats><domain name='a' id='7'/></domainstats>")
    (domain,) = libvirt.open(f"test://{saved}").listAllDomains()
    invalid = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_FROM_DOMAIN)
    assert refusal(domain.UUIDString) == refusal(domain.UUID) == invalid
    assert (domain.name(), domain.ID(), domain.isActive()) == ("a", 7, 1)


def test_a_connection_says_what_it_is(connection):
    assert connection.getURI() == FIXED
    assert connection.getType() == "TEST"
    assert connection.getHostname()
    assert connection.isAlive() == 1
    assert repr(connection) == f"<virConnect {FIXED}>"


def test_every_misuse_has_its_code_and_its_domain(connection):
    invalid = libvirt.VIR_ERR_INVALID_ARG
    domains = connection.listAllDomains()
    stranger = libvirt.open(FIXED).lookupByName("vm1")
    by_list = connection.domainListGetStats
    assert refusal(by_list, []) == (invalid, libvirt.VIR_FROM_DOMAIN)
    assert refusal(by_list, [domains[0], stranger]) == (invalid, libvirt.VIR_FROM_DOMAIN)
    for flags in (1 << 8, 1 << 20):
        test = (invalid, libvirt.VIR_FROM_TEST)
        assert refusal(connection.getAllDomainStats, 0, flags) == test
        assert refusal(by_list, domains, 0, flags) == test
        assert refusal(domains[0].state, flags) == test
    enforce = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS
    unsupported = (libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_FROM_TEST)
    assert refusal(connection.getAllDomainStats, 1 << 20, enforce) == unsupported
    assert len(connection.getAllDomainStats(1 << 20)) == 4

    nobody = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_TEST)
    assert refusal(connection.lookupByName, "vm9") == nobody
    assert refusal(connection.lookupByID, 99) == nobody
    assert refusal(connection.lookupByUUID, bytes(16)) == nobody
    assert refusal(connection.lookupByUUIDString, "vm1") == (invalid, libvirt.VIR_FROM_DOMAIN)
    assert refusal(connection.lookupByUUID, b"short") == (invalid, libvirt.VIR_FROM_DOMAIN)
    assert refusal(connection.lookupByID, -1) == (invalid, libvirt.VIR_FROM_DOMAIN)
    for lookup in (connection.lookupByName, connection.lookupByUUIDString):
        assert refusal(lookup, None) == (invalid, libvirt.VIR_FROM_DOMAIN)
    for stranger in ("vm1", None, connection):
        assert refusal(by_list, [domains[0], stranger]) == (invalid, libvirt.VIR_FROM_DOMAIN)


def test_nothing_is_asked_after_the_end():
    connection = libvirt.open(FIXED)
    domain = connection.lookupByName("vm1")
    assert connection.close() == 0
    assert repr(connection) == "<virConnect closed>"
    for call, *arguments in (
        (connection.getAllDomainStats,),
        (connection.stats,),
        (connection.listAllDomains,),
        (connection.lookupByName, "vm1"),
        (connection.getURI,),
        (connection.getType,),
        (connection.getHostname,),
        (connection.isAlive,),
    ):
        assert refusal(call, *arguments) == (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_FROM_DOMAIN)
    assert refusal(connection.close) == (libvirt.VIR_ERR_INVALID_CONN, libvirt.VIR_FROM_NONE)
    # A domain has its connection as long as it lives.
    assert domain.connect() is connection
    assert domain.isActive() == 1
    assert connection.domainListGetStats([domain])[0][0].state() == domain.state()


def test_a_handler_is_told_of_every_error(connection):
    told = []
    assert libvirt.registerErrorHandler(lambda where, error: where.append(error), told) == 1
    try:
        with pytest.raises(libvirt.libvirtError) as caught:
            connection.lookupByName("vm9")
        refusal(connection.domainListGetStats, [])
    finally:
        libvirt.registerErrorHandler(None, None)
    refusal(connection.lookupByName, "vm9")
    assert [error[0] for error in told] == [libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG]
    assert told[0] == caught.value.err


def test_arguments_of_a_wrong_type_are_errors_of_python(connection):
    with pytest.raises(TypeError):
        connection.getAllDomainStats("cpu")
    with pytest.raises(TypeError):
        connection.domainListGetStats(None)
    for number in (-1 << 32, 1 << 32):
        with pytest.raises(OverflowError):
            connection.getAllDomainStats(number)
        with pytest.raises(OverflowError):
            connection.getAllDomainStats(0, number)
    with pytest.raises(TypeError):
        libvirt.virConnect()


def test_a_state_that_cannot_be_read_is_an_error():
    denied = libvirt.open("test:///default?deny=vm1").lookupByName("vm1")
    assert refusal(denied.state)[0] == libvirt.VIR_ERR_ACCESS_DENIED
    stuck = libvirt.open("test:///default?hang=vm1").lookupByName("vm1")
    assert refusal(stuck.state)[0] == libvirt.VIR_ERR_OPERATION_TIMEOUT


def test_a_uri_that_nobody_serves_is_refused():
    assert refusal(libvirt.open, "esx://host") == (libvirt.VIR_ERR_NO_CONNECT, 0)
    assert refusal(libvirt.open, "test:///nothing.xml")[0] == libvirt.VIR_ERR_SYSTEM_ERROR
    for open in (libvirt.open, libvirt.openReadOnly):
        assert open(name="test:///default").getType() == "TEST"


def test_without_a_name_the_environment_says_it(monkeypatch):
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default?domains=2")
    monkeypatch.delenv("DOMSTATS_DEFAULT_URI", raising=False)
    for none in (None, ""):
        assert len(libvirt.open(none).listAllDomains()) == 2
    monkeypatch.setenv("DOMSTATS_DEFAULT_URI", "test:///default?domains=3")
    assert len(libvirt.open().listAllDomains()) == 3
    monkeypatch.setenv("DOMSTATS_DEFAULT_URI", "esx://host")
    with pytest.raises(libvirt.libvirtError, match="DOMSTATS_DEFAULT_URI is 'esx://host': no driver"):
        libvirt.open()
