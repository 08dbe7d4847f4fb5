"""What runs by itself, at a signal or on a clock."""
