"""Which files a process may open, by Linux's Landlock.

A ruleset names what it governs; whatever it governs and no rule allows is refused from then on, to this process and to
all that it starts. Each ABI of the kernel governs more than the one before. Source: "Landlock: unprivileged access
control" in the kernel's documentation, and include/uapi/linux/landlock.h.
"""

import contextlib
import ctypes
import os
import stat
import struct
import sys
from collections.abc import Sequence

LATEST = 7
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH, _PORT = 1, 2
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_BIND = 1 << 0
# From this ABI on, the kernel governs so many kinds of access to files: moving between folders, truncating, ioctl.
_FILES = {1: 13, 2: 14, 3: 15, 5: 16}
_SINCE_PORTS, _SINCE_SCOPES = 4, 6
_BIND_AND_CONNECT, _SIGNALS_AND_ABSTRACT_SOCKETS = 0b11, 0b11


def abi() -> int:
    """The newest version that both the kernel and this module know; 0 if there is none."""
    if sys.platform != "linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, _ASK_VERSION)
    return int(max(0, min(found, LATEST)))


def restrict(readable: Sequence[str], *, version: int, listens: bool = False) -> bool:
    """Open nothing but what is in `readable`, for reading; bind and connect to no TCP port, signal no other process.

    `version` is the ABI to use, at most `abi()`. With `listens` any free port may be bound. The process must have given
    up new privileges before. Returns whether the kernel did it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    files = (1 << max(bits for since, bits in _FILES.items() if since <= version)) - 1
    ports = _BIND_AND_CONNECT if version >= _SINCE_PORTS else 0
    scopes = _SIGNALS_AND_ABSTRACT_SOCKETS if version >= _SINCE_SCOPES else 0
    governed = struct.pack("QQQ", files, ports, scopes)
    size = 24 if scopes else 16 if ports else 8
    ruleset = libc.syscall(_CREATE, governed, size, 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        if listens and ports:
            libc.syscall(_ADD_RULE, ruleset, _PORT, struct.pack("=QQ", _BIND, 0), 0)
        return int(libc.syscall(_RESTRICT, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    with contextlib.suppress(OSError):  # not there: nothing to allow
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            folder = stat.S_ISDIR(os.fstat(handle).st_mode)
            access = _READ_FILE | (_READ_FOLDER if folder else 0)
            libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, handle), 0)
        finally:
            os.close(handle)
