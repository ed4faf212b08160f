"""The three demos: documents, workers, workspaces."""
