"""What must hold against whoever means harm; the ids (T01 ...) are those of the threat model."""
