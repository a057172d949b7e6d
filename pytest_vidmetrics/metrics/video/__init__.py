"""metrics/video."""
