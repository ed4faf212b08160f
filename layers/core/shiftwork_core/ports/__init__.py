"""What services need of the world, as protocols: stores, workers, workspaces, and AWS itself."""
