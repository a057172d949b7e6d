"""Optical flow networks, the flow of a clip, and the memory that they need."""
