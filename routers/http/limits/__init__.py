"""How much of a request is taken, and for how long it is waited for."""
