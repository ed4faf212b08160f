"""The targets that run jobs: a module for each."""
