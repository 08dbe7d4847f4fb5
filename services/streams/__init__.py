"""The life of a stream in this process."""
