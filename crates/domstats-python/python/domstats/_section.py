"""What the classes of the catalogue have in common, and what stands in for what was not read."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple
from uuid import UUID


class Section(Mapping[str, Any]):
    """A part of a record. Its values are attributes.

    A value that was not read is `None`, a list that has no items is empty. As a mapping it has only
    what was read: `dict(section)`, `"rd_reqs" in section`, `for name, value in section.items()`.
    """

    extra: Mapping[str, Any] = {}
    """What a newer hypervisor or document says and this version does not know, by its words."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = values

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}({values})"


class MissingGroup(NamedTuple):
    """A group of a domain that is missing in whole or in part, and why."""

    group: str
    """The group's name, such as "cpu-total"."""
    reason: str
    """A word: "unsupported", "timeout", "busy", "denied", "gone", "inactive", "failed" or
    "ambiguous"."""
    text: str
    """The sentence for people; may be empty."""


class MissingDomain(NamedTuple):
    """A domain that belongs to the answer and has no record, and why."""

    name: str
    """Its name."""
    uuid: UUID | None
    """Its UUID, where it has one."""
    id: int | None
    """Its number while it is active."""
    persistent: bool
    """Whether it stays defined when it stops."""
    reason: str
    """A word: "unsupported", "timeout", "busy", "denied", "gone", "inactive", "failed" or
    "ambiguous"."""
    text: str
    """The sentence for people; may be empty."""
    uid: int | None = None
    """The user that its QEMU belongs to, from the kernel; `None` where nobody says, as with libvirt."""
    untrusted: bool = False
    """Whether that user is not trusted: its name and UUID may be those of another domain."""
    conflict: tuple[str, ...] = ()
    """What of "name" and "uuid" another domain has too."""
