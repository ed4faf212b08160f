"""Workers: register them, keep their records, declare them lost."""
