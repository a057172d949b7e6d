"""Scripts as the documentation of ``fastvideo.eval`` writes them, after one changed import."""

from __future__ import annotations

import importlib
import json
import sys
import wave
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from pytest_vidmetrics.eval.metrics.common.fvd.extractors import load_extractor
from pytest_vidmetrics.eval.metrics.common.fvd.metric import FVDMetric

import pytest_vidmetrics.eval.metrics
from pytest_vidmetrics.datasets import base
from pytest_vidmetrics.eval import (
    BaseMetric,
    Evaluator,
    MetricResult,
    Video,
    as_video,
    create_evaluator,
    evaluate,
    get_metric,
    list_metrics,
    register,
    samples_from,
)
from pytest_vidmetrics.eval.datasets import PromptDataset, get_dataset, list_datasets, register_dataset
from pytest_vidmetrics.eval.io import (
    NoAudioStreamError,
    build_eval_kwargs,
    extract_audio_track,
    glob_videos,
    load_video,
)
from pytest_vidmetrics.eval.pool import VideoPool
from pytest_vidmetrics.eval.registry import missing_dependencies, resolve_group
from pytest_vidmetrics.eval.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from tests.support.clips import noisy, scene, write_clip

PAIRED = ["common.psnr", "common.ssim"]
FVD = {"common.fvd": {"extractor": "motion_energy"}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    for seed in range(4):
        write_clip(root / "ref" / f"{seed}.mp4", scene(seed, frames=16))
        if seed < 3:
            write_clip(root / "gen" / f"{seed}.mp4", noisy(scene(seed, frames=16), 5.0))
    return root


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    list_metrics()
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


def test_one_clip_by_path_and_by_tensor(folders: Path) -> None:
    by_path = evaluate(
        str(folders / "gen/0.mp4"), reference=folders / "ref/0.mp4", metrics=["common.psnr"], device="cpu"
    )
    tensors = [load_video(folders / name) for name in ("gen/0.mp4", "ref/0.mp4")]
    by_tensor = evaluate(tensors[0], reference=tensors[1], metrics=["common.psnr"], device="cpu")
    assert isinstance(by_path["common.psnr"], MetricResult)
    assert by_path["common.psnr"].score == by_tensor["common.psnr"].score


def test_folders_paired_scores_and_fvd_from_one_list_of_samples(folders: Path) -> None:
    ev = create_evaluator(metrics=[*PAIRED, "common.fvd"], device="cpu", metric_kwargs=FVD)
    samples = samples_from(video=folders / "gen", reference=folders / "ref", text_prompt="a scene", fps=12)
    assert [sample.get("role") for sample in samples] == [None, None, None, "reference"]
    results = ev.evaluate(samples=samples)
    assert [set(one) for one in results] == [{*PAIRED}] * 3 + [set()]
    assert results.corpus["common.fvd"].details["n_reference"] == 4
    only = ev.evaluate(samples=samples[:3], metrics=["common.psnr"])
    assert [one["common.psnr"].score for one in only] == [one["common.psnr"].score for one in results[:3]]
    assert only.corpus == {}


def test_training_time_use_frees_and_loads_again(folders: Path) -> None:
    ev = Evaluator(metrics=PAIRED, device="cpu", pre_upload=False, loader_threads=2, prefetch_factor=1)
    sample = {"video": load_video(folders / "gen/1.mp4"), "reference": load_video(folders / "ref/1.mp4")}
    first = ev.evaluate(**sample)
    ev.release_cuda_memory()
    ev.unload()
    with pytest.raises(RuntimeError, match="reload"):
        ev.evaluate(**sample)
    ev.reload()
    assert {name: one.score for name, one in ev.evaluate(**sample).items()} == {n: r.score for n, r in first.items()}
    ev.shutdown()


def test_a_registered_metric_is_scored_like_any_other(folders: Path, own_registry: None) -> None:
    @register("mine.brightness")
    class Brightness(BaseMetric):
        requires_reference = False

        def setup(self) -> None:
            self._scale = 2.0

        def compute(self, sample: dict[str, Any]) -> MetricResult:
            video = sample["video"]
            assert video.ndim == 4
            assert video.is_floating_point()
            if "text_prompt" not in sample:
                return self._skip(sample, "no prompt")
            return MetricResult(self.name, float(video.mean()) * self._scale, {"frames": len(video)})

    assert resolve_group("mine") == ["mine.brightness"]
    assert missing_dependencies("mine.brightness") == []
    assert isinstance(get_metric("mine.brightness"), Brightness)
    ev = Evaluator(metrics="mine", device="cpu")
    assert ev.evaluate(video=folders / "gen/0.mp4", text_prompt="x")["mine.brightness"].details == {"frames": 16}
    assert ev.evaluate(video=folders / "gen/0.mp4")["mine.brightness"].details["skipped"] == "no prompt"


def test_workers_drain_one_pool_and_their_sets_are_merged(folders: Path) -> None:
    samples = samples_from(video=folders / "gen", reference=folders / "ref")
    workers = [EvalWorker(PAIRED, "cpu") for _ in range(2)]
    results: list[Any] = [None] * len(samples)

    def work(worker: EvalWorker, pool: VideoPool) -> None:
        while (item := pool.get()) is not None:
            results[item[0]] = worker.evaluate(**item[1])

    with VideoPool(samples, loader_threads=2, max_size=2) as pool:
        threads = [Thread(target=work, args=(worker, pool)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    expected = Evaluator(PAIRED, "cpu").evaluate(samples=samples)
    assert [{name: one.score for name, one in found.items()} for found in results] == [
        {name: one.score for name, one in found.items()} for found in expected
    ]
    assert all(sample["video"].frames is None for sample in samples)


def test_set_metrics_of_two_workers_are_one(folders: Path) -> None:
    samples = samples_from(video=folders / "gen", reference=folders / "ref")
    metrics = [FVDMetric(extractor="motion_energy") for _ in range(2)]
    with VideoPool(samples) as pool:
        while (item := pool.get()) is not None:
            metrics[item[0] % 2].accumulate(item[1])
    metrics[0].merge_from(metrics[1])
    whole = Evaluator("common.fvd", "cpu", metric_kwargs=FVD).evaluate(samples=samples).corpus["common.fvd"]
    assert metrics[0].finalize().score == pytest.approx(whole.score, rel=1e-12)


def test_a_worker_keeps_its_sets_until_they_are_reset(
    folders: Path, own_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @register("mine.fvd")
    class Mine(FVDMetric):
        def __init__(self) -> None:
            super().__init__(extractor="motion_energy")

    worker = EvalWorker(["mine.fvd", "common.psnr"], "cpu")
    for sample in samples_from(video=folders / "gen", reference=folders / "ref"):
        found = worker.evaluate(**sample)
        assert set(found) == (set() if sample.get("role") else {"common.psnr"})
    assert worker.set_metrics()["mine.fvd"].finalize().score is not None
    worker.reset_set_metrics()
    assert worker.set_metrics()["mine.fvd"].finalize().status == "skipped"
    worker.unload()
    assert worker.metric_names == []
    worker.reload()
    assert sorted(worker.metric_names) == ["common.psnr", "mine.fvd"]
    with pytest.raises(ValueError, match=r"not loaded in this worker: common\.ssim"):
        worker.evaluate(metrics=["common.ssim"], video=folders / "gen/0.mp4")


def test_a_pool_hands_on_what_decoding_raises_and_leaves_no_thread(tmp_path: Path) -> None:
    tmp_path.joinpath("bad.mp4").write_bytes(b"not a clip")
    with VideoPool([{"video": as_video(tmp_path / "bad.mp4")}]) as pool, pytest.raises(Exception, match=r"bad\.mp4"):
        pool.get()
    with pytest.raises(ValueError, match="at least 1"):
        VideoPool([], loader_threads=0)


def test_an_extractor_turns_a_batch_into_rows(folders: Path) -> None:
    clips = torch.stack([load_video(folders / f"gen/{i}.mp4") for i in range(2)])
    rows = load_extractor("motion_energy", torch.device("cpu"))(clips)
    assert rows.shape == (2, 37)
    with pytest.raises(ValueError, match="extractor"):
        load_extractor("resnet")
    with pytest.raises(ValueError, match=r"\(B, T, C, H, W\)"):
        load_extractor("motion_energy")(clips[0])


def test_both_datasets_and_a_registered_one(tmp_path: Path, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_datasets()
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    assert {"vbench", "physics_iq"} <= set(list_datasets())
    info = [{"prompt_en": "a red car", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}}]
    tmp_path.joinpath("info.json").write_text(json.dumps(info))
    rows = get_dataset("vbench", dimensions=["color"], full_info_path=tmp_path / "info.json")
    row = rows[0]
    assert row["auxiliary_info"] == {"color": "red"}

    @register_dataset("my_bench")
    class Mine(PromptDataset):
        def __init__(self) -> None:
            super().__init__()
            self._rows = [{"prompt": "a cat", "n_samples": 1}]

    mine = get_dataset("my_bench")
    name = f"{mine[0]['prompt']}-0.mp4"
    tmp_path.joinpath(name).write_bytes(folders.joinpath("gen/0.mp4").read_bytes())
    (clip,) = glob_videos(tmp_path, mine[0])
    values = build_eval_kwargs(mine[0], clip, fps=12.0)
    assert values["text_prompt"] == "a cat"
    assert Evaluator("vbench.temporal_flickering", "cpu").evaluate(**values)["vbench.temporal_flickering"].score


def test_sound_is_extracted_and_its_absence_has_a_name(folders: Path, tmp_path: Path) -> None:
    silent = folders / "gen/0.mp4"
    with pytest.raises(NoAudioStreamError):
        extract_audio_track(silent, output_dir=tmp_path)
    assert "audio" not in samples_from(video=silent, extract_audio=True)[0]
    tone = tmp_path / "tone.wav"
    with wave.open(str(tone), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(16000) / 5) * 9000).astype("<i2").tobytes())
    found = extract_audio_track(tone, output_dir=tmp_path / "out", sample_rate=8000)
    with wave.open(str(found)) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 8000)


def test_every_documented_module_and_class_is_there() -> None:
    for path, (name, _) in pytest_vidmetrics.eval.metrics._CLASSES.items():
        module = importlib.import_module(f"pytest_vidmetrics.eval.metrics.{path}.metric")
        cls = getattr(module, name)
        assert issubclass(cls, BaseMetric)
        assert cls.name == path
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            _ = module.Nothing
    assert importlib.import_module("pytest_vidmetrics.eval.metrics.base").BaseMetric is BaseMetric
    for name in ("api", "evaluator", "models", "types", "io.audio", "io.inputs", "io.paths", "io.video"):
        importlib.import_module(f"pytest_vidmetrics.eval.{name}")
    for name in ("base", "registry", "vbench", "physics_iq"):
        importlib.import_module(f"pytest_vidmetrics.eval.datasets.{name}")
    assert "pytest_vidmetrics.eval.metrics.audio" in sys.modules
    assert as_video("a.mp4") == Video(source="a.mp4")
