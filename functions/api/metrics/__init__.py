"""The metrics of the platform, for Prometheus."""
