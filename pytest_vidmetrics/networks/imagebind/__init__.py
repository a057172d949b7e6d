"""ImageBind: towers and front ends."""
