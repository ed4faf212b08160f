"""Run the real services in virtual time against AWS's published quotas."""
