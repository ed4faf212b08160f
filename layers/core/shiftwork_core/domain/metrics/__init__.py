"""What operators see: which metrics there are, and what rows of the tables add to them."""
