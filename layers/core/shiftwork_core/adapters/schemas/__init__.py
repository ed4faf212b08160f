"""JSON Schema within bounds: what a schema may say, and what checking a value may cost.

It needs the edge layer, and is slow to import.
"""
