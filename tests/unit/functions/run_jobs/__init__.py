"""Tests of the demo's callbacks."""
