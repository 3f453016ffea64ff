"""Bulk statistics of virtual machines: one call, every domain, never a hang.

A script that uses libvirt-python's bulk statistics needs only a different import::

    import domstats as libvirt

    connection = libvirt.open("qemu:///system")
    for domain, stats in connection.getAllDomainStats():
        print(domain.name(), stats.get("cpu.time"))

A new script uses reports, which are typed and say what is missing and why::

    import domstats

    report = domstats.open("qemu:///system").stats(["cpu-total", "block"], timeout=0.5)
    for domain in report.domains:
        for disk in domain.block.blocks if domain.block else ():
            print(domain.name, disk.name, disk.rd_bytes)
        for missing in domain.missing:
            print(domain.name, missing.group, missing.reason, missing.text)

A value that was not read is absent, never zero.
"""

from ._catalogue import *
from ._constants import *
from ._domstats import StatsReport as StatsReport
from ._domstats import open as open
from ._domstats import openReadOnly as openReadOnly
from ._domstats import virConnect as virConnect
from ._domstats import virDomain as virDomain
from ._error import libvirtError as libvirtError
from ._error import registerErrorHandler as registerErrorHandler
from ._section import Section as Section
