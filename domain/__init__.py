"""The words of the trade: frozen values and errors, built from the standard library only."""
