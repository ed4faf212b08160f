"""The client of the HTTP API, and the shapes that the API takes and answers."""
