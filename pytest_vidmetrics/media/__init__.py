"""Reading media: videos and images to uint8 frames, sound to float32 samples, and resizing with exact semantics."""
