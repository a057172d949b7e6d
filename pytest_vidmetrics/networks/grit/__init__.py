"""GRiT: what a frame shows, as boxes with a label and a caption each (arXiv 2212.00280)."""
