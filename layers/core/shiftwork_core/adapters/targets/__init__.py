"""Who does a job: one module a target."""
