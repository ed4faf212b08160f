"""Shiftwork's client, workers, command line and local stack.

from shiftwork.api.client import ShiftworkClient

with ShiftworkClient() as client:
    request = client.submit("index-documents", {"bucket": "b", "prefix": "documents/1/"})
"""
