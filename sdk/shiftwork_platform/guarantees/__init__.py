"""Check that what docs/guarantees.md promises holds, whatever fails."""
