"""The engine: samples in, results out."""
