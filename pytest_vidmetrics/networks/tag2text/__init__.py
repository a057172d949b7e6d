"""Tag2Text (arXiv 2303.05657): tags and a caption of a picture, by a Swin encoder, a tagger and two BERT stacks."""
