"""Judges that compare a clip with its reference: which of the two is better."""
