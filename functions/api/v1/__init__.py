"""The routes under /v1, by subject: its routes, what they take (inputs) and answer (views)."""
