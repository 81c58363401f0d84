"""How coefficients of a law are found: starts, descent, and what is known of where it ended."""
