"""The one exception that the calls of a connection raise."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

_Error = Tuple[
    int, int, str, int, Optional[str], Optional[str], Optional[str], int, int
]


class libvirtError(Exception):
    """An error: libvirt's number, the part that reports it, and a message."""

    # Tracebacks say where to import it from.
    __module__ = "domstats"

    err: _Error | None
    """Code, domain, message, level, three texts and two numbers, as libvirt-python has them."""

    def __init__(self, defmsg: str, err: _Error | None = None) -> None:
        super().__init__(defmsg)
        self.err = err

    def get_error_code(self) -> int | None:
        """Return what went wrong: one of `VIR_ERR_*`."""
        return self.err[0] if self.err else None

    def get_error_domain(self) -> int | None:
        """Return the part that reports it: one of `VIR_FROM_*`."""
        return self.err[1] if self.err else None

    def get_error_message(self) -> str | None:
        """Return the message."""
        return self.err[2] if self.err else None

    def get_error_level(self) -> int | None:
        """Return the severity: always `VIR_ERR_ERROR`."""
        return self.err[3] if self.err else None

    def get_str1(self) -> str | None:
        """Return None: libvirt has more texts for some errors, this module has none."""
        return self.err[4] if self.err else None

    def get_str2(self) -> str | None:
        """Return None, as `get_str1`."""
        return self.err[5] if self.err else None

    def get_str3(self) -> str | None:
        """Return None, as `get_str1`."""
        return self.err[6] if self.err else None

    def get_int1(self) -> int | None:
        """Return -1: libvirt has numbers for some errors, this module has none."""
        return self.err[7] if self.err else None

    def get_int2(self) -> int | None:
        """Return -1, as `get_int1`."""
        return self.err[8] if self.err else None


_Handler = Callable[[Any, _Error], object]
_handler: tuple[_Handler, Any] | None = None


def registerErrorHandler(f: _Handler | None, ctx: Any) -> int:
    """Set the function that is called for every error: `f(ctx, error)`, with `error` as in `err`.

    It is called in the thread where the error happens, before the error is raised; an exception
    that it raises replaces the error. `None`, the default, removes it: libvirt then prints errors,
    this module prints nothing. Returns 1.
    """
    global _handler
    _handler = (f, ctx) if f else None
    return 1


def failure(code: int, domain: int, message: str, level: int) -> libvirtError:
    """Call the error handler and return the error to raise."""
    # libvirt adds texts and numbers for a few errors; there are none here.
    error = (code, domain, message, level, None, None, None, -1, -1)
    if _handler:
        f, ctx = _handler
        f(ctx, error)
    return libvirtError(message, error)
