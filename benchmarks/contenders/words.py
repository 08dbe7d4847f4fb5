"""What every peer sends, and how fast: the same two constants that StreamForge uses."""

import os

TEXT = os.environ["SIMULATED_TEXT"]
DELAY = float(os.environ["STREAM_DELAY"])
WORDS = TEXT.split()
