"""In a child: what its process gives up before it begins to work. Each means is used where the system has it.

On Linux, Landlock leaves a process the files that it needs, for reading, and a list of system calls leaves it memory
and pipes: no other file, process, signal or connection, whichever user it runs as. Limits on memory, computing time
and files exist on every Unix. Windows has none of these.
"""

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from typing import Any

LANDLOCK, CALLS = "landlock", "system calls"
_NEEDED = {
    LANDLOCK: "Landlock, which Linux has from 5.13 on, if it is among the security modules that the kernel was started "
    "with",
    CALLS: "a filter on system calls, which StreamForge has for Linux on x86_64 and aarch64",
}
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 1, 4, 38
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def lacking() -> list[str]:
    """What this system would need to confine a child fully, a phrase each; empty if it can."""
    try:
        from children import landlock, system_calls
    except ImportError:  # a Python that was built without ctypes
        return list(_NEEDED.values())
    had = {LANDLOCK: landlock.abi() > 0, CALLS: system_calls.can_filter()}
    return [phrase for name, phrase in _NEEDED.items() if not had[name]]


def is_full(means: Sequence[str]) -> bool:
    """Whether a child that was confined by these means can reach nothing but what it was given."""
    return set(_NEEDED) <= set(means)


def confine(
    readable: Sequence[str],
    *,
    memory: int | None = None,
    cpu_seconds: int | None = None,
    threads: bool = False,
    listens: bool = False,
    abi: int | None = None,
) -> list[str]:
    """Give up all that the process does not need, and end with the parent process.

    It keeps what is in `readable`, may start threads if asked for, and with `listens` accept connections on a port that
    the system chooses. `memory` is in bytes of address space. No newer `abi` of Landlock is used. Returns the names of
    the means that this system had.
    """
    had = _limit(memory, cpu_seconds)
    if sys.platform != "linux":
        return had
    try:
        import ctypes

        from children import landlock, system_calls
    except ImportError:  # a Python that was built without it
        return had
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_DEATH_SIGNAL, 9, 0, 0, 0)
    libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)  # without which the kernel takes neither of what follows from a user
    close_memory()
    version = min(abi or landlock.LATEST, landlock.abi())
    if version and landlock.restrict(readable, version=version, listens=listens):
        had.append(LANDLOCK)
    if system_calls.allow_only(threads=threads, sockets=listens):
        had.append(CALLS)
    elif not listens and (libc.unshare(_NEW_USER | _NEW_NETWORK) == 0 or libc.unshare(_NEW_NETWORK) == 0):
        had.append("network")
    return had


def python_files(*packages: str) -> list[str]:
    """What Python needs to read to go on: its libraries, those of the system, and these folders of the program."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}
    system = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"}
    linked = {target for folder in folders for target in _linked_from(folder)}
    return sorted({*folders, *linked, *system, os.path.join(sys.base_prefix, "lib"), *packages})


def _linked_from(folder: str) -> Iterator[str]:
    """Where packages really are whose installer has made links: Landlock looks at the files themselves."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            yield os.path.realpath(entry.path)
        elif entry.is_dir():
            with contextlib.suppress(OSError):
                linked = next((file for file in os.scandir(entry.path) if file.is_symlink()), None)
                if linked is not None:
                    yield os.path.dirname(os.path.realpath(linked.path))


def close_memory() -> None:
    """Keep other processes of the same user out of this one's memory and environment. Linux alone has this.

    Debuggers and profilers are kept out as well, and no core is written.
    """
    if sys.platform == "linux":
        with contextlib.suppress(ImportError):  # a Python that was built without it
            import ctypes

            ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0, 0, 0, 0)


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


def _limit(memory: int | None, cpu_seconds: int | None) -> list[str]:
    if sys.platform == "win32":
        return []
    import resource

    limits = {
        "cores": (resource.RLIMIT_CORE, 0, 0),
        "files": (resource.RLIMIT_FSIZE, 0, 0),
    }
    if memory is not None:
        limits["memory"] = (resource.RLIMIT_AS, memory, memory)
    if cpu_seconds is not None:
        limits["cpu"] = (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)
        limits["children"] = (resource.RLIMIT_NPROC, 0, 0)  # does not bind root
    had = []
    for name, (kind, soft, hard) in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard))
            had.append(name)
    return had
