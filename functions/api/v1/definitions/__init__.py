"""Request types and job types."""
