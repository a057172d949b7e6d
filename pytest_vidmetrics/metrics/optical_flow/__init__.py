"""Optical flow against a reference clip or against actions."""
