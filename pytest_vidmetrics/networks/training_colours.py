"""Means and deviations of the colours that published networks were trained on: RGB in [0, 1].

Sources: openai/CLIP ``clip.py`` (arXiv 2103.00020); ImageNet as torchvision's models are trained on it.
"""

from __future__ import annotations

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
