"""Everything that remembers."""
