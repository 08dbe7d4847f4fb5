"""Encoders that turn events into bytes: one pure, synchronous module for each wire. No wire imports another."""
