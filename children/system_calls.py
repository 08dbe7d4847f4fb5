"""Which system calls a process may make, by Linux's seccomp: a list of those that work on memory and pipes needs.

All others are refused with EPERM, so what a newer kernel adds is refused as well; `clone3` with ENOSYS, which makes
the C library fall back on `clone`, whose flags a filter can see. Sources: "Seccomp BPF" in the kernel's documentation,
and its tables of system calls.
"""

import ctypes
import platform
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

# Name -> number on x86_64, number on aarch64; None where the machine has no such call.
_ALWAYS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "nanosleep": (35, 101),
    "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, None),
    "gettimeofday": (96, 169), "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "sigaltstack": (131, 132), "statfs": (137, 43),
    "fstatfs": (138, 44), "arch_prctl": (158, None), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "ppoll": (271, 73), "set_robust_list": (273, 99), "getrandom": (318, 278),
    "membarrier": (324, 283), "statx": (332, 291), "rseq": (334, 293), "close_range": (436, 436),
    "faccessat2": (439, 439),
}  # fmt: skip
_SOCKETS: dict[str, tuple[int | None, int | None]] = {
    "select": (23, None), "accept": (43, 202), "recvfrom": (45, 207), "recvmsg": (47, 212), "shutdown": (48, 210),
    "bind": (49, 200), "listen": (50, 201),
    "getsockname": (51, 204), "getpeername": (52, 205), "setsockopt": (54, 208), "getsockopt": (55, 209),
    "epoll_wait": (232, None), "epoll_ctl": (233, 21), "pselect6": (270, 72), "epoll_pwait": (281, 22),
    "accept4": (288, 242), "eventfd2": (290, 19), "epoll_create1": (291, 20), "pipe2": (293, 59),
}  # fmt: skip
_OPEN, _OPENAT, _IOCTL, _FCNTL, _PRLIMIT = (2, None), (257, 56), (16, 29), (72, 25), (302, 261)
_CLONE, _CLONE3 = (56, 220), (435, 435)
_SOCKET, _SENDTO, _SENDMSG = (41, 198), (44, 206), (46, 211)
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Flags of open: for writing, creating, truncating, appending, and for a file without a name.
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000
_IOCTLS = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451)  # is it a terminal, its size; do not block; close on exec, or not
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # duplicate; get and set flags: and not who gets a signal
_THREAD = 0x10000
_STREAMS = tuple(1 | flags for flags in (0, 0o4000, 0o2000000, 0o2004000))  # no datagrams, which need no connection
_CONNECTING = 0x20000000  # the flag by which sending connects

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026
_SET_SECCOMP, _FILTER = 22, 2
_SECCOMP, _IS_AVAILABLE = (317, 277), 2


class _Step(NamedTuple):
    """An instruction; `then` and `otherwise` count the instructions to skip."""

    code: int
    then: int
    otherwise: int
    value: int


_ALLOWED, _REFUSED = _Step(_GIVE, 0, 0, _ALLOW), _Step(_GIVE, 0, 0, _REFUSE)


def can_filter() -> bool:
    """Whether this machine is one whose calls are known here, and its kernel filters them."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES or sys.maxsize < 2**32:
        return False
    wanted = ctypes.c_uint32(_REFUSE & 0x7FFF0000)
    found = ctypes.CDLL(None, use_errno=True).syscall(_SECCOMP[_here()], _IS_AVAILABLE, 0, ctypes.byref(wanted))
    return int(found) == 0


def allow_only(*, threads: bool = False, sockets: bool = False) -> bool:
    """Refuse all calls but those for work on memory, pipes and files that are opened for reading.

    `threads` may be started if asked for, and with `sockets` connections accepted, and none made. The process must
    have given up new privileges before. Returns whether the kernel did it.
    """
    if not can_filter():
        return False
    steps = list(_program(threads=threads, sockets=sockets))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    whole = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(_SET_SECCOMP, _FILTER, whole, 0, 0)) == 0


def _here() -> int:
    """Which of a call's two numbers is this machine's."""
    return list(_MACHINES).index(platform.machine())


def _program(*, threads: bool, sockets: bool) -> Iterator[_Step]:
    here = _here()
    yield _Step(_LOAD, 0, 0, 4)
    yield _Step(_EQUAL, 1, 0, _MACHINES[platform.machine()])
    yield _REFUSED
    yield _Step(_LOAD, 0, 0, 0)
    yield _Step(_ABOVE, 0, 1, 0x40000000)  # the calls of x32, which have other numbers
    yield _REFUSED
    rules: list[tuple[tuple[int | None, int | None], list[_Step]]] = [
        *((numbers, [_ALLOWED]) for numbers in _ALWAYS.values()),
        (_OPEN, _without(1, _WRITING)),
        (_OPENAT, _without(2, _WRITING)),
        (_IOCTL, _one_of(1, _IOCTLS)),
        (_FCNTL, _one_of(1, _FCNTLS)),
        (_PRLIMIT, _reading_limits()),
        (_CLONE3, [_Step(_GIVE, 0, 0, _NO_SUCH_CALL)]),
    ]
    if threads:
        rules.append((_CLONE, _with(0, _THREAD)))
    if sockets:
        rules += ((numbers, [_ALLOWED]) for numbers in _SOCKETS.values())
        rules.append((_SOCKET, _one_of(1, _STREAMS)))
        rules += [(_SENDTO, _without(3, _CONNECTING)), (_SENDMSG, _without(2, _CONNECTING))]
    for numbers, steps in rules:
        if (number := numbers[here]) is not None:
            yield _Step(_EQUAL, 0, len(steps), number)
            yield from steps
    yield _REFUSED


def _argument(number: int) -> _Step:
    """Loads the lower half of an argument: all of what flags, commands and process ids have."""
    return _Step(_LOAD, 0, 0, 16 + 8 * number)


def _without(argument: int, flags: int) -> list[_Step]:
    return [_argument(argument), _Step(_ANY_BIT, 0, 1, flags), _REFUSED, _ALLOWED]


def _with(argument: int, flag: int) -> list[_Step]:
    return [_argument(argument), _Step(_ANY_BIT, 1, 0, flag), _REFUSED, _ALLOWED]


def _reading_limits() -> list[_Step]:
    """Its own limits alone, and only to learn them: whoever may raise limits could raise those it was given."""
    upper = _Step(_LOAD, 0, 0, 16 + 8 * 2 + 4)
    return [
        *(_argument(0), _Step(_EQUAL, 0, 4, 0)),  # the process: this one
        *(_argument(2), _Step(_EQUAL, 0, 2, 0)),  # the new limits: none
        *(upper, _Step(_EQUAL, 1, 0, 0)),
        _REFUSED,
        _ALLOWED,
    ]


def _one_of(argument: int, values: tuple[int, ...]) -> list[_Step]:
    steps = [_Step(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [_argument(argument), *steps, _REFUSED, _ALLOWED]
