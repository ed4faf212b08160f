"""Worker processes that are measured: the same empty task, by this SDK and by Conductor's."""
