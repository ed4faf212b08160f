"""What switches workspaces on and off, a module a kind."""
