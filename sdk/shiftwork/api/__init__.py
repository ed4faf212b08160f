"""The clients of the HTTP API, and the shapes of what it takes and answers."""
