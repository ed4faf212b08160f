"""The calls of the API, by subject: what each sends, and how its answer is read."""
