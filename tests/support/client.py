"""A client on a bare socket, for things that well-behaved clients cannot do."""

import json
import socket


def small_socket(port: int) -> socket.socket:
    """A connection with a small receive buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(("127.0.0.1", port))
    return client


def open_stream(port: int, **body: object) -> tuple[socket.socket, str]:
    """Post a message over a bare socket and read the head of the answer; yields the socket and the stream's id."""
    payload = json.dumps({"message": "hello", **body}).encode()
    client = small_socket(port)
    client.sendall(
        b"POST /chat?format=events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(payload), payload)
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:] if ": " in line)
    return client, headers["x-stream-id"]
