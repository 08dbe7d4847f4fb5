"""Where the vectors of documents' pieces are kept, and searched."""
