"""Red flags of a space, found before it costs machine hours."""
