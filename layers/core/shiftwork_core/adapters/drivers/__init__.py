"""The drivers that switch workspaces on and off: a module for each kind."""
