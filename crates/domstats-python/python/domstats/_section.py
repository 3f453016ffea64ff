"""The base class of the catalogue's classes."""

from __future__ import annotations

from typing import Any, Iterator, Mapping


class Section(Mapping[str, Any]):
    """A part of a record. Its values are attributes.

    A value that was not read is `None`, a list without items is empty. As a mapping it has only what
    was read: `dict(section)`, `"rd_reqs" in section`, `for name, value in section.items()`.
    """

    extra: Mapping[str, Any] = {}
    """Values of a newer hypervisor or document that are unknown to this version, by their keys."""

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
