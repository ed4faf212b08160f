"""Deploy a throw-away stack, compare what a step uses with what is expected, remove the stack."""
