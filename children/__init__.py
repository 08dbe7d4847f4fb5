"""Child processes: how they are started, confined, spoken with and ended. What they do is their users' matter."""
