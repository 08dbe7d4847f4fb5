"""Stands for a Python that pytest-xdist starts: forks one that has everything loaded, and ends when that does.

Its arguments are where the fork server listens, and then those of the Python.
"""

import json
import os
import socket
import sys


def main(path: str, *words: str) -> int:
    """Returns the exit code."""
    told, teller = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server, teller:
        server.connect(path)
        request = json.dumps({"words": [word for word in words if word != "-u"], "env": dict(os.environ)})
        socket.send_fds(server, [request.encode()], [0, 1, 2, teller.fileno()])
    told.recv(64)  # its process id
    code, *_ = told.recv(64).split() or [b"1"]
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
