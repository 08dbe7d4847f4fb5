"""In a child: what its process gives up before it begins to work. Each means is used where the system has it.

On Linux a filter on system calls leaves the process without new processes, without sockets and without signals to
others, whichever user it runs as. Without such a filter it gets an empty network namespace and a limit on processes,
which does not bind root. Limits on memory, computing time and files exist on every Unix. Windows has none of these.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
from typing import Any

_SET_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES, _SET_SECCOMP = 1, 38, 22
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
# For each machine: its number in the kernel, and those of socket, connect, socketpair, clone, fork, vfork, execve,
# ptrace, kill, tkill, tgkill, process_vm_writev, execveat, io_uring_setup and clone3, as far as it has them.
_MACHINES = {
    "x86_64": (0xC000003E, (41, 42, 53, 56, 57, 58, 59, 101, 62, 200, 234, 311, 322, 425, 435)),
    "aarch64": (0xC00000B7, (198, 203, 199, 220, 221, 117, 129, 130, 131, 271, 281, 425, 435)),
}
_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def confine(*, memory: int, cpu_seconds: int) -> list[str]:
    """Give up whatever a program does not need that computes on its input alone, and end with the parent process.

    `memory` is in bytes of address space. Returns the names of the means that this system had.
    """
    had = _limit(memory, cpu_seconds)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SET_DEATH_SIGNAL, 9, 0, 0, 0)
        if _filter(libc):
            had += ["processes", "network"]
        elif libc.unshare(_NEW_USER | _NEW_NETWORK) == 0 or libc.unshare(_NEW_NETWORK) == 0:
            had += ["network"]
    return had


def refuse_network() -> None:
    """Raise PermissionError when Python code turns to a network. It stops accidents of packages, and no attack."""
    sys.addaudithook(_refuse)


def lower_priority(steps: int) -> None:
    """Let other processes go first; `steps` of Unix's `nice`. Windows has none."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(steps)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise PermissionError("this process may not use any network")


def _limit(memory: int, cpu_seconds: int) -> list[str]:
    if sys.platform == "win32":
        return []
    import resource

    had = []
    limits = {
        "memory": (resource.RLIMIT_AS, memory, memory),
        "cpu": (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        "files": (resource.RLIMIT_FSIZE, 0, 0),
        "cores": (resource.RLIMIT_CORE, 0, 0),
        "children": (resource.RLIMIT_NPROC, 0, 0),  # does not bind root
    }
    for name, (kind, soft, hard) in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))
            had.append(name)
    lower_priority(10)
    return had


def _filter(libc: ctypes.CDLL) -> bool:
    """Refuse the calls of `_MACHINES` with EPERM, and all calls in the manner of another machine."""
    if platform.machine() not in _MACHINES:
        return False
    machine, refused = _MACHINES[platform.machine()]
    load, equal, above, give = 0x20, 0x15, 0x35, 0x06
    allow, refuse = 0x7FFF0000, 0x00050001
    size = len(refused)
    program = [
        (load, 0, 0, 4),
        (equal, 0, size + 3, machine),
        (load, 0, 0, 0),
        (above, size + 1, 0, 0x40000000),  # the calls of x32
        *((equal, size - place, 0, number) for place, number in enumerate(refused)),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    whole = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    if libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return int(libc.prctl(_SET_SECCOMP, 2, whole, 0, 0)) == 0
