"""In the place of a reader: what a document that has taken over its process would try.

Its text is JSON: the name of each attempt, with what became of it.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from domain.documents import Parsed, Section
from parsing.limits import ParseLimits
from parsing.progress import OnPage

Attempts = dict[str, Callable[[], Any]]
"""Each raises OSError if it is refused."""

OF_A_PROCESS = (
    "environ", "mem", "maps", "cmdline", "status", "stat", "auxv", "root/etc/passwd", "cwd/README.md",
)  # fmt: skip
NAMES = ("x86_64", "aarch64")
# Not to be reached through Python: name -> numbers, and arguments in which `pid` is another process.
CALLS: dict[str, tuple[tuple[int, int], tuple[Any, ...]]] = {
    "pidfd_open": ((434, 434), ("pid", 0)),
    "pidfd_send_signal": ((424, 424), (0, 0, 0, 0)),
    "pidfd_getfd": ((438, 438), (0, 0, 0)),
    "process_vm_readv": ((310, 270), ("pid", 0, 0, 0, 0, 0)),
    "process_vm_writev": ((311, 271), ("pid", 0, 0, 0, 0, 0)),
    "process_madvise": ((440, 440), (0, 0, 0, 0, 0)),
    "ptrace": ((101, 117), (16, "pid", 0, 0)),
    "kcmp": ((312, 272), ("pid", "pid", 0, 0, 0)),
    "rt_sigqueueinfo": ((129, 138), ("pid", 0, 0)),
    "tkill": ((200, 130), ("pid", 0)),
    "tgkill": ((234, 131), ("pid", "pid", 0)),
    "prlimit of another": ((302, 261), ("pid", 7, 0, 0)),
    "setpriority": ((141, 140), (0, "pid", 5)),
    "sched_setaffinity": ((203, 122), ("pid", 0, 0)),
    "migrate_pages": ((256, 238), ("pid", 0, 0, 0)),
    "unshare": ((272, 97), (0x10000000,)),
    "setns": ((308, 268), (0, 0)),
    "mount": ((165, 40), (0, 0, 0, 0, 0)),
    "chroot": ((161, 51), (0,)),
    "pivot_root": ((155, 41), (0, 0)),
    "userfaultfd": ((323, 282), (0,)),
    "memfd_create": ((319, 279), (0, 0)),
    "add_key": ((248, 217), (0, 0, 0, 0, 0)),
    "keyctl": ((250, 219), (0, 0, 0, 0, 0)),
    "perf_event_open": ((298, 241), (0, 0, 0, 0, 0)),
    "bpf": ((321, 280), (0, 0, 0)),
    "io_uring_setup": ((425, 425), (1, 0)),
    "init_module": ((175, 105), (0, 0, 0)),
    "name_to_handle_at": ((303, 264), (0, 0, 0, 0, 0)),
    "open_by_handle_at": ((304, 265), (0, 0, 0)),
    "openat2": ((437, 437), (0, 0, 0, 0)),
    "truncate": ((76, 45), ("victim", 0)),
    "fchmodat2": ((452, 452), (-100, "victim", 0, 0)),
    "execveat": ((322, 281), (0, 0, 0, 0, 0)),
    "seccomp": ((317, 277), (1, 0, 0)),
    "landlock_create_ruleset": ((444, 444), (0, 0, 1)),
    "shmget": ((29, 194), (0, 4096, 0o600)),
    "msgget": ((68, 186), (0, 0o600)),
    "mq_open": ((240, 180), (0, 0, 0, 0)),
    "inotify_init1": ((294, 26), (0,)),
    "fanotify_init": ((300, 262), (0, 0)),
    "syslog": ((103, 116), (3, 0, 0)),
    "setuid": ((105, 146), (65534,)),
    "getppid": ((110, 173), ()),
}
WRITES = os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREAT


def calls(victim: str, pid: int) -> Attempts:
    """System calls that Python has no function for."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = NAMES.index(platform.machine())

    def call(number: int, arguments: tuple[Any, ...]) -> int:
        made = [{"pid": pid, "victim": victim.encode()}.get(each, each) for each in arguments]
        found = int(libc.syscall(number, *made))
        if found == -1:
            raise OSError(ctypes.get_errno(), "refused")
        return found

    return {name: partial(call, numbers[here], arguments) for name, (numbers, arguments) in CALLS.items()}


def on_file(kind: str, path: str) -> Attempts:
    """What may be done with a file, a folder, or whatever else is there."""
    return {
        f"read {kind}": lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 64),
        f"list {kind}": lambda: os.listdir(path),
        f"map {kind}": lambda: mmap.mmap(os.open(path, os.O_RDWR), 1),
        **{f"open {kind} {flags}": partial(os.open, path, flags) for flags in WRITES},
        f"truncate {kind}": lambda: os.truncate(path, 0),
        f"remove {kind}": lambda: os.unlink(path),
        f"remove the folder {kind}": lambda: os.rmdir(path),
        f"rename {kind}": lambda: os.rename(path, f"{path}.moved"),
        f"link {kind}": lambda: os.link(path, f"{path}.linked"),
        f"link to {kind}": lambda: os.symlink(path, f"{path}.symlink"),
        f"chmod {kind}": lambda: os.chmod(path, 0o777),
        f"chown {kind}": lambda: os.chown(path, os.getuid(), -1),
        f"touch {kind}": lambda: os.utime(path, (0, 0)),
        f"mark {kind}": lambda: os.setxattr(path, "user.a", b"b"),
        f"make a folder beside {kind}": lambda: os.mkdir(f"{path}.made"),
        f"make a pipe beside {kind}": lambda: os.mkfifo(f"{path}.pipe"),
        f"speak to {kind}": lambda: socket.socket(socket.AF_UNIX).connect(path),
    }


def on_process(pid: int) -> Attempts:
    """What may be done to another process, and learnt of it."""
    tried: Attempts = {"own a pipe for another": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, pid)}
    for who in (str(pid), "self", "1"):
        for file in OF_A_PROCESS:
            tried[f"read /proc/{who}/{file}"] = partial(os.open, f"/proc/{who}/{file}", os.O_RDONLY)
        if who != "self":  # it has its own input anyway
            tried[f"read /proc/{who}/fd/0"] = partial(os.open, f"/proc/{who}/fd/0", os.O_RDONLY)
        tried[f"write /proc/{who}/mem"] = partial(os.open, f"/proc/{who}/mem", os.O_RDWR)
        tried[f"list /proc/{who}/fd"] = partial(os.listdir, f"/proc/{who}/fd")
    for number in (0, signal.SIGTERM, signal.SIGKILL):
        tried[f"signal {number}"] = partial(os.kill, pid, number)
        tried[f"signal {number} to its group"] = partial(os.killpg, pid, number)
    return tried


def beginnings() -> Attempts:
    """What may be begun: connections, processes, threads."""
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET, 40)
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)
    return {
        **{
            f"socket {family:d} {kind:d}": partial(socket.socket, family, kind) for family in families for kind in kinds
        },
        "socketpair": socket.socketpair,
        "fork": os.fork,
        "spawn": lambda: subprocess.run(["/bin/true"], check=True),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "thread": start_a_thread,
    }


def start_a_thread() -> None:
    """A reader has no use for one."""
    try:
        threading.Thread(target=int).start()
    except RuntimeError as error:
        raise PermissionError(errno.EPERM, "refused") from error


def outcome(attempt: Callable[[], Any]) -> str:
    """`refused`, or what was got; for other errors their name, which the test judges."""
    try:
        return f"got {attempt()!r:.60}"
    except OSError as error:
        refused = error.errno in (errno.EPERM, errno.EACCES)
        return "refused" if refused else errno.errorcode.get(error.errno or 0, str(error))


def read(content: bytes, name: str, limits: ParseLimits, on_page: OnPage) -> Parsed:
    """Try everything, as a document that names `victims` and another process, `pid`."""
    asked = json.loads(content)
    tried = calls(asked["victims"]["a file"], asked["pid"]) | on_process(asked["pid"]) | beginnings()
    for kind, path in asked["victims"].items():
        tried |= on_file(kind, path)
    found = {name: outcome(attempt) for name, attempt in tried.items()}
    return Parsed("application/json", (Section(json.dumps(found)),))
