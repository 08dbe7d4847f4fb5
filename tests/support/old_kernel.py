"""Run a command as on a kernel without Landlock: `python old_kernel.py COMMAND...`."""

import ctypes
import os
import platform
import struct
import sys

LANDLOCK_CREATE_RULESET = 444
ENOSYS = 38
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def main(command: list[str]) -> None:
    """Make the one call fail as an unknown one does, then become the command."""
    steps = [
        (0x20, 0, 0, 4),  # load the machine
        (0x15, 0, 3, MACHINES[platform.machine()]),
        (0x20, 0, 0, 0),  # load the call
        (0x15, 0, 1, LANDLOCK_CREATE_RULESET),
        (0x06, 0, 0, 0x00050000 | ENOSYS),
        (0x06, 0, 0, 0x7FFF0000),  # allow
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
    assert libc.prctl(22, 2, program, 0, 0) == 0  # seccomp
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
