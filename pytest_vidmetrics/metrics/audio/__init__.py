"""metrics/audio."""
