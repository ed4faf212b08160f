"""What runs a job: a module for each target."""
