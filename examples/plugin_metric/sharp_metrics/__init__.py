"""Metrics and prompts of an example package."""
