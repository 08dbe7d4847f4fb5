"""The commands of `python main.py`; imported only if there are arguments."""
