"""metrics/common."""
