from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.environment import software
from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.datasets.vbench import VBenchPromptDataset
from pytest_vidmetrics.engine.api import create_evaluator, evaluate
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.networks import shared

WriteClip = Callable[..., str]


@pytest.fixture(autouse=True)
def _defined(metrics: dict[str, Any]) -> Iterator[None]:
    """Register one metric of each kind, and check that no test leaves a thread."""

    @register("fake.mean")
    class Mean(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def __init__(self, scale: float = 1.0) -> None:
            self.scale = scale

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            video = sample["video"]
            assert video.dtype == torch.float32
            return MetricResult(self.name, float(video.mean()) * self.scale, {"frames": len(video)})

    @register("fake.difference")
    class Difference(BaseMetric):
        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            if sample["video"].shape != sample["reference"].shape:
                raise IncompatibleSampleError("the clips differ in size")
            return MetricResult(self.name, float((sample["video"] - sample["reference"]).abs().mean()))

    @register("fake.first")
    class First(BaseMetric):
        requires_reference: ClassVar[bool] = False
        pixels: ClassVar[Any] = "uint8"

        def frames(self) -> FrameRequest:
            return FrameRequest(2)

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            assert sample["video"].dtype == torch.uint8
            levels = sample["video"][:, 0, 0, 0].tolist()
            return MetricResult(self.name, float(levels[0]), {"levels": levels, "fps": sample.get("fps")})

    @register("fake.prompt")
    class Prompt(BaseMetric):
        requires: ClassVar[tuple[str, ...]] = ("text_prompt",)
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(len(sample["text_prompt"])))

    @register("sets.mean")
    class SetMean(SetMetric):
        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            return np.array([[float(sample["video"].mean())]])

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            score = float(candidate.rows.mean() - reference.rows.mean())
            return MetricResult(self.name, score, {"n": len(candidate.ids), "m": len(reference.ids)})

    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def grey(level: float, frames: int = 3) -> torch.Tensor:
    return torch.full((frames, 3, 4, 4), level)


def test_paths_are_decoded(write_clip: WriteClip) -> None:
    path = write_clip("a.mkv", [0, 51, 255])
    with Evaluator(["fake.mean", "fake.first"], "cpu") as evaluator:
        for video in (path, Path(path), Video(path)):
            found = evaluator.evaluate(video=video)
            assert found["fake.mean"].score == pytest.approx(0.4)
            assert found["fake.first"].details == {"levels": [0, 255], "fps": 8.0}


def test_the_callers_video_is_not_changed_and_pixels_are_never_stale(write_clip: WriteClip) -> None:
    samples = [{"video": Video(write_clip("a.mkv", [0, 0]))}]
    evaluator = Evaluator("fake.mean", "cpu")
    assert evaluator.evaluate(samples)[0]["fake.mean"].score == 0
    assert samples[0]["video"].frames is None
    assert list(samples[0]) == ["video"]
    write_clip("a.mkv", [255, 255])
    assert evaluator.evaluate(samples)[0]["fake.mean"].score == 1


def test_uint8_tensors_are_scaled_and_floats_reach_uint8_metrics_as_bytes() -> None:
    evaluator = Evaluator(["fake.mean", "fake.first"], "cpu")
    assert evaluator.evaluate(video=grey(51).byte())["fake.mean"].score == pytest.approx(0.2)
    assert evaluator.evaluate(video=grey(0.2))["fake.first"].score == 51


def test_a_batch_dimension_is_refused() -> None:
    evaluator = Evaluator("fake.mean", "cpu")
    with pytest.raises(ValueError, match="without a batch dimension"):
        evaluator.evaluate(video=grey(0.5)[None])
    good, bad = evaluator.evaluate([{"video": grey(0.5)}, {"video": grey(0.5)[None]}])
    assert good["fake.mean"].score == 0.5
    assert bad["fake.mean"].status == "failed"
    assert "without a batch dimension" in bad["fake.mean"].reason


def test_a_missing_key_is_a_skip_with_the_reason() -> None:
    found = Evaluator("all", "cpu").evaluate(video=grey(0.5))
    assert found["fake.mean"].score == 0.5
    assert found["fake.difference"].status == "skipped"
    assert found["fake.difference"].reason == "the sample has no reference"
    assert found["fake.prompt"].reason == "the sample has no text_prompt"
    assert found["sets.mean"].status == "skipped"
    assert "samples=[...]" in found["sets.mean"].reason


def test_one_shot_with_the_default_metrics() -> None:
    found = evaluate(
        grey(0.75), grey(0.5), device="cpu", text_prompt="cat", metric_kwargs={"fake.mean": {"scale": 2.0}}
    )
    assert found["fake.difference"].score == 0.25
    assert found["fake.prompt"].score == 3
    assert found["fake.mean"].score == 1.5


def test_a_set_metric_by_name_needs_samples() -> None:
    evaluator = Evaluator(["fake.mean", "sets.mean"], "cpu")
    with pytest.raises(ValueError, match=r"sets\.mean: a set metric needs samples"):
        evaluator.evaluate(video=grey(0.5))
    assert evaluator.evaluate(video=grey(0.5), metrics="fake")["fake.mean"].score == 0.5


def test_one_bad_sample_costs_only_its_own_results(write_clip: WriteClip, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    samples = [
        {"video": write_clip("a.mkv", [51] * 3, size=4), "reference": grey(0.2)},
        {"video": str(tmp_path / "broken.mp4"), "reference": grey(0.2)},
        {"video": grey(0.2, frames=2), "reference": grey(0.2)},
        {"video": grey(0.4), "reference": tmp_path / "absent.mp4", "text_prompt": "x"},
        {"video": 3},
    ]
    found = Evaluator(["fake", "sets"], "cpu", loader_threads=3).evaluate(samples)
    assert [one["fake.mean"].status for one in found] == ["scored", "failed", "scored", "scored", "failed"]
    assert "broken.mp4" in found[1]["fake.mean"].reason
    assert found[2]["fake.difference"].reason == "the clips differ in size"
    assert "absent.mp4" in found[3]["fake.difference"].reason
    assert found[3]["fake.prompt"].score == 1
    assert "expected a path, a tensor or a Video" in found[4]["fake.mean"].reason
    corpus = found.corpus["sets.mean"]
    assert corpus.score == pytest.approx(0.0, abs=1e-6)
    assert corpus.details["n"] == 2
    assert corpus.details["failed"] == 3
    assert [entry["index"] for entry in corpus.details["failed_samples"]] == [1, 3, 4]


def test_role_reference_feeds_set_metrics_only() -> None:
    samples = [
        {"video": grey(0.75)},
        {"video": grey(0.5), "role": "reference"},
        {"audio": "a.wav", "role": "reference"},
    ]
    found = Evaluator(["fake.mean", "sets.mean"], "cpu").evaluate(samples)
    assert list(map(sorted, found)) == [["fake.mean"], [], []]
    assert found.corpus["sets.mean"].score == 0.25


def test_a_metric_that_writes_into_the_shared_frames_is_found_out() -> None:
    @register("fake.careless")
    class Careless(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(sample["video"].mul_(2).mean()))

    found = Evaluator(["fake.prompt", "fake.careless", "fake.mean"], "cpu").evaluate(video=grey(0.2), text_prompt="x")
    assert found["fake.prompt"].score == 1
    for name in ("fake.careless", "fake.mean"):
        assert found[name].reason == "fake.careless changed the frames of 'video' in place"


def test_audio_only_samples_share_an_evaluator_with_video_metrics(tmp_path: Path) -> None:
    sounds = {name: tmp_path / f"{name}.wav" for name in "abc"}
    for name, path in sounds.items():
        path.write_text(name)
    seen: list[set[str]] = []

    @register("fake.sound")
    class Sound(BaseMetric):
        requires: ClassVar[tuple[str, ...]] = ("audio",)
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            seen.append(set(sample))
            return MetricResult(self.name, 1.0)

    samples: list[dict[str, Any]] = [
        {"audio": sounds["a"]},
        {"video": grey(0.5), "reference": grey(0.5), "audio": sounds["b"]},
        {"audio": sounds["c"], "role": "reference"},
    ]
    found = Evaluator(["fake", "sets"], "cpu").evaluate(samples)
    assert [one["fake.sound"].score for one in found[:2]] == [1, 1]
    assert seen[0] == {"audio"}
    assert found[0]["sets.mean"].reason == "the sample has no video"
    assert found[2] == {}
    assert found.corpus["sets.mean"].details["n"] == 1


def test_a_clip_that_no_metric_reads_is_not_decoded() -> None:
    found = Evaluator("fake.prompt", "cpu").evaluate(video="absent.mp4", text_prompt="cat")
    assert found["fake.prompt"].score == 3


def test_a_set_of_one_that_has_no_finite_score_is_no_score() -> None:
    @register("sets.deviation")
    class Deviation(SetMetric):
        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            return np.ones((1, 1))

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            return MetricResult(self.name, float("nan"))

    evaluator = Evaluator("sets.deviation", "cpu")
    assert (
        evaluator.evaluate([{"video": grey(0.5), "reference": grey(0.5)}]).corpus["sets.deviation"].status == "failed"
    )
    assert evaluator.evaluate([{"video": grey(0.5)}]).corpus["sets.deviation"].status == "skipped"
    assert evaluator.evaluate([]).corpus["sets.deviation"].status == "skipped"


def test_dataset_rows_feed_metrics_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "info.json"
    path.write_text('[{"prompt_en": "a red cat", "dimension": ["color"]}]', "utf-8")
    (row,) = VBenchPromptDataset(full_info_path=path)
    assert Evaluator("fake.prompt", "cpu").evaluate(video=grey(0.5), **row)["fake.prompt"].score == 9


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_do_not_depend_on_workers(workers: int) -> None:
    generator = torch.Generator().manual_seed(3)
    clips = [torch.rand(2, 3, 4, 4, generator=generator) for _ in range(24)]
    samples = [{"video": clip, "reference": other} for clip, other in zip(clips, reversed(clips), strict=True)]
    names = ["fake.mean", "fake.difference", "sets.mean"]
    expected = Evaluator(names, "cpu").evaluate(samples)
    found = Evaluator(names, ["cpu"] * workers, loader_threads=3, prefetch_factor=1).evaluate(samples)
    assert list(found) == list(expected)
    assert found.corpus == expected.corpus


def test_work_is_stolen(metrics: dict[str, Any]) -> None:
    """While one worker is held by a clip, the other one scores all the rest; the clip waits for that."""
    by_thread: dict[str, int] = {}
    others_are_done = threading.Event()

    @register("fake.slow")
    class Slow(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            name = threading.current_thread().name
            if sample["holds"]:
                assert others_are_done.wait(60), "the clips behind it were not scored by the other worker"
            by_thread[name] = by_thread.get(name, 0) + 1
            if by_thread[name] == 10:
                others_are_done.set()
            return MetricResult(self.name, 1.0)

    samples = [{"video": grey(0.1), "holds": True}] + [{"video": grey(0.1), "holds": False}] * 10
    found = Evaluator("fake.slow", ["cpu", "cpu"]).evaluate(samples)
    assert [row["fake.slow"].status for row in found] == ["scored"] * 11
    assert sorted(by_thread.values()) == [1, 10]


def test_each_call_stands_alone_and_a_filter_names_its_set_metrics() -> None:
    @register("sets.other")
    class Other(SetMetric):
        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            return np.ones((1, 1))

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            return MetricResult(self.name, 1.0)

    evaluator = Evaluator(["fake.mean", "sets.mean", "sets.other"], "cpu")
    pairs = [{"video": grey(0.5), "reference": grey(0.25)}] * 2
    first = evaluator.evaluate(pairs, metrics=["sets.mean"])
    assert set(first.corpus) == {"sets.mean"}
    assert set(evaluator.evaluate(pairs[:1], metrics="sets.other").corpus) == {"sets.other"}
    assert evaluator.evaluate(pairs, metrics=["sets.mean"]).corpus == first.corpus
    assert set(evaluator.evaluate(pairs, metrics=["sets"]).corpus) == {"sets.mean", "sets.other"}
    assert evaluator.evaluate(pairs).corpus["sets.mean"].details["n"] == 2


def test_filters_and_arguments_that_are_wrong() -> None:
    evaluator = Evaluator(["fake.mean"], "cpu")
    with pytest.raises(ValueError, match=r"fake\.prompt: not selected"):
        evaluator.evaluate([], metrics=["fake.prompt"])
    with pytest.raises(KeyError, match=r"did you mean 'fake\.mean'"):
        evaluator.evaluate([], metrics=["fake.maen"])
    with pytest.raises(TypeError, match=r"keywords \(fps\) exclude"):
        evaluator.evaluate([{"video": grey(0.1)}], fps=24)
    with pytest.raises(TypeError, match="must be a list of dicts"):
        evaluator.evaluate({"video": grey(0.1)})
    with pytest.raises(TypeError, match="needs samples="):
        evaluator.evaluate()
    with pytest.raises(TypeError, match="video is a int"):
        evaluator.evaluate(video=3)
    with pytest.raises(ValueError, match=r"not selected: fake\.prompt"):
        Evaluator("fake.mean", "cpu", metric_kwargs={"fake.prompt": {}})
    with pytest.raises(TypeError, match="takes no parameter 'scael'; did you mean 'scale'"):
        Evaluator("fake", "cpu", metric_kwargs={"fake.mean": {"scael": 1}})
    assert evaluator.evaluate([]) == []


def test_unload_and_reload() -> None:
    evaluator = create_evaluator("fake.mean", "cpu", loader_threads=2, metric_kwargs={"fake.mean": {"scale": 3.0}})
    evaluator.release_cuda_memory()
    evaluator.unload()
    assert evaluator.metric_names == []
    with pytest.raises(RuntimeError, match="call reload"):
        evaluator.evaluate(video=grey(0.5))
    evaluator.reload()
    assert evaluator.evaluate(video=grey(0.5))["fake.mean"].score == 1.5
    evaluator.shutdown()
    assert evaluator.metric_names == []


def test_what_cannot_be_loaded_is_left_out_of_groups_and_raised_by_name() -> None:
    @register("fake.offline")
    class Offline(BaseMetric):
        def setup(self) -> None:
            raise UnavailableError("weights x are not available")

    @register("fake.nolib")
    class NoLibrary(BaseMetric):
        dependencies = ("surely_not_installed",)

    evaluator = Evaluator("all", "cpu")
    assert not {"fake.offline", "fake.nolib"} & set(evaluator.metric_names)
    assert evaluator.unavailable["fake.offline"] == "weights x are not available"
    assert "surely_not_installed" in evaluator.unavailable["fake.nolib"]
    for name in ("fake.offline", "fake.nolib"):
        with pytest.raises(UnavailableError):
            Evaluator(["fake.mean", name], "cpu")
        assert Evaluator(["fake.mean", name], "cpu", skip_missing_deps=True).metric_names == ["fake.mean"]
    with pytest.raises(ValueError, match=r"fake\.offline: weights x"):
        evaluator.evaluate([], metrics=["fake.offline"])


def test_an_import_error_or_a_missing_file_in_one_sample_does_not_drop_the_metric() -> None:
    @register("fake.fragile")
    class Fragile(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            if sample["error"] is not None:
                raise sample["error"]
            return MetricResult(self.name, 1.0)

    errors = [ImportError("no module"), None, FileNotFoundError("x.json"), None]
    samples = [{"video": grey(0.1), "error": error} for error in errors]
    found = Evaluator("fake.fragile", "cpu", skip_missing_deps=True).evaluate(samples)
    assert [one["fake.fragile"].status for one in found] == ["unavailable", "scored", "failed", "scored"]


def test_a_nan_is_a_failure_and_a_wrong_return_value_too() -> None:
    @register("fake.nan")
    class Nan(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float("nan")) if sample["nan"] else None  # type: ignore[return-value]

    found = Evaluator("fake.nan", "cpu").evaluate(
        [{"video": grey(0.1), "nan": True}, {"video": grey(0.1), "nan": False}]
    )
    assert [one["fake.nan"].status for one in found] == ["failed", "failed"]
    assert "NoneType" in found[1]["fake.nan"].reason


@pytest.mark.parametrize("devices", [["cpu"], ["cpu", "cpu", "cpu"]])
def test_an_interruption_leaves_no_thread_behind(devices: list[str]) -> None:
    seen: list[int] = []

    @register("fake.interrupted")
    class Interrupted(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            seen.append(1)
            if len(seen) == 5:
                raise KeyboardInterrupt
            return MetricResult(self.name, 1.0)

    evaluator = Evaluator("fake.interrupted", devices, loader_threads=4)
    with pytest.raises(KeyboardInterrupt):
        evaluator.evaluate({"video": grey(i / 1000)} for i in range(1000))
    assert len(seen) < 20


def test_a_broken_generator_of_samples_is_raised() -> None:
    def samples() -> Iterator[dict[str, Any]]:
        yield {"video": grey(0.1)}
        raise OSError("the list ended early")

    with pytest.raises(OSError, match="ended early"):
        Evaluator("fake.mean", "cpu").evaluate(samples())


def test_repeated_ids_are_reported_and_user_ids_are_kept() -> None:
    samples = [{"video": grey(0.5), "reference": grey(0.5), "id": name} for name in ("a", "b", "a")]
    found = Evaluator("sets.mean", "cpu").evaluate(samples)
    assert "used twice" in found[2]["sets.mean"].reason
    assert found.corpus["sets.mean"].details["n"] == 2


def test_a_pair_counts_on_both_sides_or_on_none() -> None:
    samples = [{"video": grey(0.5), "reference": grey(0.5)} for _ in range(3)]

    @register("sets.picky")
    class Picky(SetMetric):
        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            if float(sample["video"].mean()) > 0.9:
                raise IncompatibleSampleError("too bright")
            return np.ones((1, 1))

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            return MetricResult(self.name, 0.0, {"n": len(candidate.ids), "m": len(reference.ids)})

    samples[1]["reference"] = grey(1.0)
    corpus = Evaluator("sets.picky", "cpu").evaluate(samples).corpus["sets.picky"]
    assert (corpus.details["n"], corpus.details["m"], corpus.details["failed"]) == (2, 2, 1)


def test_two_metrics_on_one_backbone_run_it_once_per_sample() -> None:
    for name in ("fake.one", "fake.two"):

        @register(name)
        class OnBackbone(BaseMetric):
            requires_reference: ClassVar[bool] = False
            backbone: ClassVar[str | None] = "tiny"

            def setup(self) -> None:
                self.net = shared.load("tiny", self.device, lambda: torch.nn.Flatten())

            def compute(self, sample: Mapping[str, Any]) -> MetricResult:
                rows = shared.once(("tiny", str(self.device), "video"), lambda: self.net(sample["video"]))
                return MetricResult(self.name, float(rows.sum()))

    shared.loads.clear()
    shared.forwards.clear()
    found = Evaluator(["fake.one", "fake.two"], "cpu").evaluate([{"video": grey(0.5)}, {"video": grey(0.25)}])
    assert [one["fake.one"].score for one in found] == [72.0, 36.0]
    assert all(one["fake.one"].score == one["fake.two"].score for one in found)
    assert shared.loads == {("tiny", "cpu"): 1}
    assert shared.forwards == {("tiny", "cpu", "video"): 2}


def test_devices() -> None:
    expected = "cuda:0" if torch.cuda.is_available() else "cpu"
    assert Evaluator("fake.mean").devices == (expected,)
    with pytest.raises(UnavailableError, match="'cpu' needs none"):
        Evaluator("fake.mean", "cuda:99")
    with pytest.raises(UnavailableError):
        Evaluator("fake.mean", num_gpus=99)
    with pytest.raises(ValueError, match="num_gpus must be at least 1"):
        Evaluator("fake.mean", num_gpus=0)
    with pytest.raises(ValueError, match="list of devices is empty"):
        Evaluator("fake.mean", [])


def test_a_name_that_is_metric_and_group_selects_itself_too() -> None:
    @register("fake")
    class Whole(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, 7.0)

    assert Evaluator("fake", "cpu").evaluate(video=grey(0.5))["fake"].score == 7


def test_without_pre_upload_the_scores_are_the_same() -> None:
    samples = [{"video": grey(0.5), "reference": grey(0.25)}]
    kept = Evaluator(["fake", "sets"], "cpu").evaluate(samples)
    freed = Evaluator(["fake", "sets"], "cpu", pre_upload=False).evaluate(samples)
    assert list(kept) == list(freed)
    assert kept.corpus == freed.corpus


def test_provenance_says_direction_decoder_and_device() -> None:
    found = Evaluator("fake.mean", "cpu", metric_kwargs={"fake.mean": {"scale": 2.0}}).provenance()
    assert found["metrics"]["fake.mean"]["params"] == {"scale": 2.0}
    assert found["metrics"]["fake.mean"]["higher_is_better"] is True
    assert found["devices"] == ["cpu"]
    assert found["environment"]["decoder"].startswith("pyav")
    assert found["environment"].items() >= software().items()


def test_compile_wraps_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    @register("fake.network")
    class Network(BaseMetric):
        _model: Any = None

        def setup(self) -> None:
            self._model = "network"

    monkeypatch.setattr(torch, "compile", lambda model: f"compiled {model}")
    evaluator = Evaluator(["fake.network", "fake.mean"], "cpu", compile=True)
    models = [getattr(metric, "_model", None) for metric in evaluator._workers[0].loaded]
    assert models == ["compiled network", None]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("pre_upload", [True, False])
def test_on_a_gpu(write_clip: WriteClip, pre_upload: bool) -> None:
    seen: set[str] = set()

    @register("fake.where")
    class Where(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            seen.add(str(sample["video"].device))
            return MetricResult(self.name, float(sample["video"].mean()))

    path = write_clip("a.mkv", [10, 20, 30])
    samples = [{"video": path}, {"video": grey(0.5)}] * 4
    expected = Evaluator("fake.where", "cpu").evaluate(samples)
    with Evaluator("fake.where", ["cuda:0", "cuda:0"], loader_threads=2, pre_upload=pre_upload) as evaluator:
        found = evaluator.evaluate(samples)
        evaluator.release_cuda_memory()
    assert seen == {"cpu", "cuda:0"}
    scores = [one["fake.where"].score for one in found]
    assert scores == pytest.approx([one["fake.where"].score for one in expected])


class _Collects(BaseMetric):
    is_set_metric = True

    def reset(self) -> None: ...

    def accumulate(self, sample: Mapping[str, Any]) -> None: ...

    def finalize(self) -> MetricResult:
        return MetricResult(self.name, 1.0)


class _CollectsOnOurs(SetMetric):
    def update(self, sample: Mapping[str, Any]) -> None: ...

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        return MetricResult(self.name, 1.0)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (_Collects, r"needs SetMetric as its base class, and features\(sample\), .* and score_sets\(candidate"),
        (
            _CollectsOnOurs,
            r"\(_CollectsOnOurs\): a set metric needs features\(sample\), .*rows of one clip:",
        ),
    ],
)
def test_a_set_metric_that_collects_a_state_is_refused_when_it_is_registered(
    kind: type[BaseMetric], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        register("fake.state")(kind)


def test_a_set_metric_of_rows_keeps_fastvideos_protocol() -> None:
    @register("fake.distance")
    class Distance(SetMetric):
        requires = ("video",)

        def features(self, sample: Mapping[str, Any]) -> np.ndarray:
            found: np.ndarray = sample["video"].mean(dim=(0, 2, 3)).numpy()[None]
            return found

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            apart = candidate.rows.mean(axis=0) - reference.rows.mean(axis=0)
            return MetricResult(self.name, float(abs(apart).sum()))

    clips = [torch.full((2, 3, 4, 4), level / 10) for level in range(4)]
    samples = [{"video": clip, "role": role} for clip, role in zip(clips, ("generated", "reference") * 2, strict=True)]
    by_engine = Evaluator("fake.distance", "cpu").evaluate(samples).corpus["fake.distance"].score
    alone, other = Distance(), Distance()
    for metric, half in ((alone, samples[:2]), (other, samples[2:])):
        for sample in half:
            metric.accumulate(sample)
    alone.merge_from(other)
    assert alone.finalize().score == by_engine == pytest.approx(0.3)
