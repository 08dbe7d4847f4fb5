"""One module a format. They run in the child process that reads one document, and nowhere else."""
