"""One module a format. They run only in the child process that reads a document."""
