"""Prompts that ask for fine detail."""

from __future__ import annotations

from pytest_vidmetrics import PromptDataset, register_dataset


@register_dataset("sharp")
class SharpPrompts(PromptDataset):
    """Three prompts; clips are named ``<prompt>-<number>.mp4``."""

    description = "prompts that ask for fine detail"

    def __init__(self) -> None:
        super().__init__()
        prompts = ("a page of small print", "a field of grass in the wind", "rain on a window")
        self._rows = [{"prompt": one, "text_prompt": one, "n_samples": 1} for one in prompts]
