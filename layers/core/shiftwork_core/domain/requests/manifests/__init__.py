"""Manifests: a step's items as one object of JSON lines or CSV, cut while it streams by."""
