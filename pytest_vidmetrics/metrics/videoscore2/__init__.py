"""Scores that VideoScore2, a video-language model, gives a clip and its prompt."""
