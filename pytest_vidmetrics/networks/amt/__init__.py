"""AMT frame interpolation."""
