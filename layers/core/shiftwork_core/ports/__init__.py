"""What services need from the world, as protocols: stores, workers, workspaces, and AWS itself."""
