"""Workers' records and tokens."""
