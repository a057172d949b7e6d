"""CLIP towers, their tokenizer and frames, and what stands on CLIP features."""
