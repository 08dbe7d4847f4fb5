"""What a developer's commands run: set-up, lock files, the demo. The program knows none of it."""
