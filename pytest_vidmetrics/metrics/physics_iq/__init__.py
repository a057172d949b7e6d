"""metrics/physics_iq."""
