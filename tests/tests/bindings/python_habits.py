"""Prints what libvirt-python reports about a host, as JSON: statistics, identities, errors, constants."""

import json
import sys

import libvirt

FLAGS = "VIR_CONNECT_GET_ALL_DOMAINS_STATS_"

connection = libvirt.openReadOnly(sys.argv[1])
domains = sorted(connection.listAllDomains(), key=lambda domain: domain.name())


def records(pairs):
    """Return the comparable part of an answer."""
    return [
        {
            "who": [domain.name(), domain.UUIDString(), domain.UUID().hex(), domain.ID()],
            "same connection": domain.connect() is connection,
            "stats": stats,
            "types": {key: type(value).__name__ for key, value in stats.items()},
            "keys": list(stats),
        }
        for domain, stats in pairs
    ]


def by_name(pairs):
    return sorted(records(pairs), key=lambda record: record["who"])


def names(domains):
    return sorted(domain.name() for domain in domains)


def bits(prefix):
    return {name: bit for name, bit in vars(libvirt).items() if name.startswith(prefix)}


def error(call, *arguments):
    """Return the numbers of the error that a call raises."""
    try:
        return f"no error, but {call(*arguments)}"
    except libvirt.libvirtError as error:
        assert str(error) == error.get_error_message()
        return [error.get_error_code(), error.get_error_domain(), error.get_error_level()]


answers = {"all": by_name(connection.getAllDomainStats())}
for name, bit in bits("VIR_DOMAIN_STATS_").items():
    if bit & (bit - 1) == 0:
        answers[name] = by_name(connection.getAllDomainStats(bit))
state = libvirt.VIR_DOMAIN_STATS_STATE
for name, bit in bits(FLAGS).items():
    answers[name] = by_name(connection.getAllDomainStats(stats=state, flags=bit))
backing = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING
answers["backing"] = by_name(connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_BLOCK, backing))
answers["unknown group"] = by_name(connection.getAllDomainStats(1 << 20))
twice = [domains[1], domains[0], domains[1]]
answers["list"] = records(connection.domainListGetStats(twice, state))

first = domains[0]
identities = {
    "found": [
        domain.name()
        for domain in (
            connection.lookupByName(first.name()),
            connection.lookupByUUID(first.UUID()),
            connection.lookupByUUIDString(first.UUIDString()),
            connection.lookupByUUIDString(first.UUIDString().replace("-", "")),
        )
    ],
    "listed": [names(connection.listAllDomains(filters)) for filters in range(1 << 8)],
    "filtered": [
        names(domain for domain, _ in connection.getAllDomainStats(state, filters))
        for filters in range(1 << 8)
    ],
    "filtered of a list": [
        names(domain for domain, _ in connection.domainListGetStats(domains, state, filters))
        for filters in range(1 << 8)
    ],
    "states": [domain.state() for domain in domains],
    "active": [[domain.isActive(), domain.isPersistent()] for domain in domains],
    "type": connection.getType(),
    "host": connection.getHostname(),
    "alive": connection.isAlive(),
}

other = libvirt.open(sys.argv[1])
stranger = other.lookupByName(first.name())
given = other.domainListGetStats([first], state)[0][0]
identities["given to another connection"] = [given.connect() is other, given.name()]

with libvirt.open(sys.argv[1]) as closed:
    orphan = closed.lookupByName(first.name())
identities["of a closed connection"] = [
    orphan.connect() is closed,
    orphan.isActive(),
    [domain.name() for domain, _ in closed.domainListGetStats([orphan], 1)],
]

told = []
libvirt.registerErrorHandler(lambda where, error: where.append([error[0], error[1], error[3]]), told)
enforce = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS
nobody = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF
errors = {
    "empty list": error(connection.domainListGetStats, []),
    "two connections": error(connection.domainListGetStats, [first, stranger]),
    "unknown flag": error(connection.getAllDomainStats, 0, 1 << 20),
    "flag of another call": error(connection.getAllDomainStats, 0, 1 << 8),
    "unknown flag of a list": error(connection.domainListGetStats, [first], 0, 1 << 20),
    "unsupported group": error(connection.getAllDomainStats, 1 << 20, enforce),
    "unsupported group of a list": error(connection.domainListGetStats, [first], 1 << 20, enforce),
    "no such name": error(connection.lookupByName, "nobody"),
    "no such UUID": error(connection.lookupByUUID, bytes(15) + b"x"),
    "no UUID": error(connection.lookupByUUIDString, "nobody"),
    "no such number": error(connection.lookupByID, 99999),
    "no number": error(connection.lookupByID, -2),
    "no such filter": error(connection.listAllDomains, 1 << 30),
    "all flags": error(connection.getAllDomainStats, 0, -1),
    "nobody's unsupported group": error(connection.getAllDomainStats, 1 << 20, enforce | nobody),
    "all groups": len(connection.getAllDomainStats(-1)),
    "all groups of a list": error(
        lambda: len(connection.domainListGetStats([first], 0x7FF, enforce))
    ),
    "None for a name": error(connection.lookupByName, None),
    "None for a UUID": error(connection.lookupByUUIDString, None),
    "flags of a state": error(first.state, 1),
    "closed: statistics": error(closed.getAllDomainStats),
    "closed: domains": error(closed.listAllDomains),
    "closed: lookup": error(closed.lookupByName, first.name()),
    "closed: empty list": error(closed.domainListGetStats, []),
    "closed: URI": error(closed.getURI),
    "closed: type": error(closed.getType),
    "closed: host": error(closed.getHostname),
    "closed: alive": error(closed.isAlive),
    "closed: close": error(closed.close),
    "no socket": error(libvirt.open, "qemu:///session?socket=/nonexistent"),
    "no listener": error(libvirt.open, "qemu+tcp://localhost:1/session"),
    "no mode": error(libvirt.open, "qemu:///session?mode=fast"),
}
libvirt.registerErrorHandler(None, None)
error(connection.lookupByName, "nobody")

json.dump(
    {
        "answers": answers,
        "identities": identities,
        "errors": errors,
        "told": told,
        "constants": bits("VIR_"),
    },
    sys.stdout,
)
