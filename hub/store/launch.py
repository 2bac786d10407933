"""Turn this process into a program of PostgreSQL: never as root, and never outliving the hub that asked for it.

Run as a file, with the standard library only: `python -I -S launch.py PARENT UID GID CAPABILITIES PROGRAM ARGUMENT...`,
capabilities as numbers of linux/capability.h joined by commas, or `-`. Only what was asked for survives the change of account.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
_PDEATHSIG, _SECUREBITS, _NO_NEW_PRIVS, _AMBIENT = 1, 28, 38, 47
_NO_SETUID_FIXUP = 1 << 2
_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def main(arguments: list[str]) -> None:
    parent, uid, gid, capabilities, program, *rest = arguments
    limit()
    if int(uid) != os.geteuid():
        become(int(uid), int(gid), [int(number) for number in capabilities.split(",") if number.isdigit()])
    die_with(int(parent))
    os.execve(program, [program, *rest], dict(os.environ))  # noqa: S606  no shell is wanted


def limit() -> None:
    """No core dump of a database, files for the owner only, no privilege by a set-uid program, default signals.

    SIGINT too: a handler of Python's would note the parent's death and then be replaced by PostgreSQL, which never hears of it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    _prctl(_NO_NEW_PRIVS, 1)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def become(uid: int, gid: int, capabilities: Iterable[int]) -> None:
    """Change the account for good. Where capabilities cannot be kept it goes without: enough as long as no folder on the way is closed."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    kept = _survives()
    os.setresuid(uid, uid, uid)
    if kept:
        _keep(capabilities)


def die_with(parent: int) -> None:
    """SIGINT (a fast shutdown) when the parent's thread ends. Set last: a change of account clears it."""
    _prctl(_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        raise SystemExit("The hub ended before PostgreSQL could start.")


def _survives() -> bool:
    # Without this bit access(2), which PostgreSQL uses to find itself, ignores the capabilities of anyone but root.
    try:
        _prctl(_SECUREBITS, _NO_SETUID_FIXUP)
    except OSError:
        return False
    return True


def _keep(capabilities: Iterable[int]) -> None:
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    _check(_libc.capget(ctypes.byref(header), sets))
    wanted = [number for number in capabilities if sets[0].permitted & 1 << number]
    mask = sum(1 << number for number in wanted)
    _check(_libc.capset(ctypes.byref(header), (_Sets * 2)(_Sets(mask, mask, mask))))
    for number in wanted:
        _prctl(_AMBIENT, _AMBIENT_RAISE, number)


def _prctl(option: int, *values: int) -> None:
    _check(_libc.prctl(option, *(ctypes.c_ulong(value) for value in (*values, *[0] * (4 - len(values))))))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(sys.argv[1:])
