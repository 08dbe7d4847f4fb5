"""AG-UI: runs of an agent."""
