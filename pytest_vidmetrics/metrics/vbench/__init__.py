"""metrics/vbench."""
