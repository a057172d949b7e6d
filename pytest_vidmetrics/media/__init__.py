"""Reading media: videos and images to uint8 frames, sound to float32 samples, resizing with exact semantics."""
