"""What every peer says, and how fast: the same two names that StreamForge reads."""

import os

TEXT = os.environ["SIMULATED_TEXT"]
DELAY = float(os.environ["STREAM_DELAY"])
WORDS = TEXT.split()
