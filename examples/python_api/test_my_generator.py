"""Metrics in ordinary tests, without a manifest of their own.

pytest examples/python_api
pytest examples/python_api --update-baselines      records what test_waves_against_its_baseline compares with
"""

from __future__ import annotations

from pathlib import Path

CLIPS = Path(__file__).parents[1] / "quickstart" / "clips"


def test_waves_against_its_baseline(vidmetrics, vidmetrics_baseline):
    """A score that may not get worse than the recorded one by more than a margin."""
    result = vidmetrics("common.psnr").evaluate(
        video=CLIPS / "candidate" / "waves.mp4", reference=CLIPS / "reference" / "waves.mp4"
    )["common.psnr"]
    vidmetrics_baseline.check("psnr", result.score, abs=0.25)


def test_no_clip_flickers(vidmetrics, vidmetrics_samples):
    """A floor of your own for every clip of a manifest's case."""
    samples = vidmetrics_samples("../quickstart/quickstart.vidmetrics.toml", "demo")
    results = vidmetrics("vbench.temporal_flickering").evaluate([sample.values for sample in samples])
    scores = {
        sample.id: result["vbench.temporal_flickering"].score for sample, result in zip(samples, results, strict=True)
    }
    assert min(scores.values()) > 0.8, scores


def test_a_clip_is_most_like_its_own_reference(vidmetrics):
    """The same engine for questions that are no gate."""
    ssim = vidmetrics("common.ssim")
    candidate = CLIPS / "candidate" / "clock.mp4"
    scores = {
        path.stem: ssim.evaluate(video=candidate, reference=path)["common.ssim"].score
        for path in sorted((CLIPS / "reference").glob("c*.mp4"))
    }
    assert max(scores, key=scores.__getitem__) == "clock"
