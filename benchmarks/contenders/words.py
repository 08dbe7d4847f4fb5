"""The words that every peer sends, and how fast, from the same two settings as StreamForge."""

import os

TEXT = os.environ["SIMULATED_TEXT"]
DELAY = float(os.environ["STREAM_DELAY"])
WORDS = TEXT.split()
