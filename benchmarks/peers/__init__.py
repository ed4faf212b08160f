"""What the figures of authors are measured beside; each runs in an environment of its own."""
