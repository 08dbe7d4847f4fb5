"""Child processes: how they are started, confined, spoken with and ended. What one does is its user's business."""
