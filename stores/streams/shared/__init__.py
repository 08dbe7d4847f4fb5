"""The log that several processes share, in Redis or Valkey."""
