"""How events become bytes: one pure, synchronous module a wire. One wire never imports another."""
