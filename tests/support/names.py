"""Names of hosts."""

NO_SUCH_HOST = ".".join("n" * length for length in (63, 63, 63, 62))
"""A name that never resolves, found without asking anybody: its 254 bytes are one more than a name may have in DNS."""
