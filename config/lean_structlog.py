"""structlog without its optional packages, even if they are installed. Import this before anything imports structlog.

structlog imports rich if it can, for tracebacks that our log lines do not have, and greenlet, for threads that we do
not use: the one comes with development tools, the other with SQLAlchemy. Unless something else needs them, a server
saves their memory, one megabyte for greenlet and three for rich.
"""

import sys

_UNUSED = [name for name in ("greenlet", "rich") if name not in sys.modules]

sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]  # None: as if it were not installed
try:
    import structlog
finally:
    for name in _UNUSED:
        del sys.modules[name]

__all__ = ["structlog"]
