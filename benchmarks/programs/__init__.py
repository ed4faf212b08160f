"""The worker programs to measure: the same empty task, with this SDK and with Conductor's."""
