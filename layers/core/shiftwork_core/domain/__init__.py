"""Pure rules: no AWS, no clock, no randomness, no environment. Time and chance are arguments."""
