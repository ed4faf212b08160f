"""The callbacks of the demo."""
