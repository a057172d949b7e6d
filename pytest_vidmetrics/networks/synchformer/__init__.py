"""Synchformer: towers and front ends."""
