"""How answers are drawn on a terminal."""
