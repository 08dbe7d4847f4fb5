"""What `python main.py` does when it is given words; imported only then."""
