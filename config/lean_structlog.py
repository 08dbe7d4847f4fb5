"""structlog, as it is where nothing is installed that it can do without.

It imports rich, for tracebacks that our lines do not have, and greenlet, for threads that we do not use, wherever it
finds them: the one comes with tools, the other with SQLAlchemy. Where nothing else needs them, a server is lighter
by what they weigh, a megabyte for greenlet and three for rich. So this is to be imported before structlog is.
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
