"""metrics/optical_flow."""
