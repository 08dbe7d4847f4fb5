"""`python -m tests.support.quick_server`: the program with clocks that run out in a moment."""

import sys
from functools import partial

import serving
from config.logging import configure_logging
from config.settings import get_settings
from main import create_app
from routers.http.limits.values import ConnectionLimits

SECONDS = 0.5
QUICK = ConnectionLimits(
    idle_seconds=1,
    head_seconds=SECONDS,
    body_seconds=SECONDS,
    upload_rate=64 * 1024,
    upload_seconds=4 * SECONDS,
)

if __name__ == "__main__":
    settings = get_settings()
    configure_logging(settings.LOG_LEVEL)
    sys.exit(serving.serve(settings, partial(create_app, limits=QUICK), QUICK))
