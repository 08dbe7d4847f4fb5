"""One module for each format. They run only in the child process that reads a document."""
