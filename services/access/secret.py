"""The secret for hashing API keys. Unless a setting provides it, it is created once and kept in a private file."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

FILE = "secret"


class SecretError(ValueError):
    """Why the secret cannot be read or created, in a sentence."""


def read_secret(given: str | None, folder: Path) -> bytes:
    """The given secret, or the one in the folder. Blocks: it reads the disk, and may create the folder and the file.

    If several processes create it at the same time, one of them wins, and all read that one's.
    """
    if given is not None:
        return given.encode()
    file = folder / FILE
    try:
        if not file.exists():
            _make(folder, file)
        if file.stat().st_mode & 0o077 and os.name == "posix":
            raise SecretError(f"{file} can be read by others. Make it private: chmod 600 {file}.")
        secret = file.read_bytes().strip()
    except OSError as error:
        raise SecretError(f"the secret {file} cannot be read or created: {error.strerror}.") from None
    if len(secret) < 32:
        raise SecretError(f"the secret {file} has fewer than 32 characters. Restore it, or remove it and every key.")
    return secret


def _make(folder: Path, file: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=folder)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(secrets.token_hex(32).encode())
            written.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)  # either complete or absent, and never over an existing one
    finally:
        os.unlink(draft)
