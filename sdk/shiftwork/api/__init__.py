"""The clients of the HTTP API, and the shapes of what they send and receive."""
