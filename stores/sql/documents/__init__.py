"""Documents, their pieces, and the indexes over them."""
