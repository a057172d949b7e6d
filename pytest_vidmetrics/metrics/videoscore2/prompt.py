"""What VideoScore2 is asked, byte for byte: line ends, indents, en dashes and blanks at the ends of lines count."""

from __future__ import annotations

from pytest_vidmetrics.core.hashing import digest_json

_QUESTION = """
    You are an expert for evaluating AI-generated videos from three dimensions:
    (1) visual quality – clarity, smoothness, artifacts;
    (2) text-to-video alignment – fidelity to the prompt;
    (3) physical/common-sense consistency – naturalness and physics plausibility.

    Video prompt: {prompt}

    Please output in this format:
    visual quality: <v_score>;{blank}
    text-to-video alignment: <t_score>,{blank}
    physical/common-sense consistency: <p_score>
    """
"""The question that the model was trained on: Apache-2.0 (the model card of TIGER-Lab/VideoScore2 prints it).

FastVideo (Apache-2.0) asks the same without the blanks at the ends of two lines, which are 2 of 131 tokens.
"""


def question(prompt: str, *, fastvideo: bool = False) -> str:
    """Return the question about a clip that was made for ``prompt``, which is put in as it is."""
    head, tail = _QUESTION.replace("{blank}", "" if fastvideo else " ").split("{prompt}")
    return f"{head}{prompt}{tail}"


def question_digest(*, fastvideo: bool = False) -> str:
    """Return the digest of the question without a prompt: part of the identity of every score."""
    return digest_json(question("", fastvideo=fastvideo))[:16]
