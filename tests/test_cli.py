from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet


@pytest.fixture(autouse=True)
def _metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", {})
    monkeypatch.setattr(registry, "_discovered", True)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.bin").write_bytes(b"weights")

    @register("fake.mean")
    class Mean(BaseMetric):
        requires_reference: ClassVar[bool] = False
        unit: ClassVar[str] = "level"

        def __init__(self, scale: float = 1.0) -> None:
            self.scale = scale

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(sample["video"].mean()) * self.scale, {"odd": [None, 1]})

        def weights_files(self) -> tuple[Weights, ...]:
            return (Weights("here.bin", "./here.bin", size=7, licence="MIT"),)

    @register("fake.paired")
    class Paired(BaseMetric):
        higher_is_better: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float((sample["video"] - sample["reference"]).abs().mean()))

        def weights_files(self) -> tuple[Weights, ...]:
            return (Weights("away.bin", "https://example.invalid/away.bin", size=2_500_000_000, licence="NC"),)

    @register("sets.mean")
    class SetMean(SetMetric):
        def features(self, sample: Mapping[str, Any]) -> Any:
            import numpy as np

            return np.array([[float(sample["video"].mean())]])

        def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
            return MetricResult(self.name, float(candidate.rows.mean() - reference.rows.mean()))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    from PIL import Image

    for name, level in (("gen/a", 51), ("gen/b", 102), ("ref/a", 0), ("ref/b", 102), ("ref/c", 0)):
        path = tmp_path / f"{name}.gif"
        path.parent.mkdir(exist_ok=True)
        frames = [Image.new("RGB", (16, 16), (level, level, level)) for _ in range(2)]
        frames[1].putpixel((0, 0), (255 - level, 0, 0))
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return tmp_path


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_compact_and_strict() -> None:
    value = {"a": [1.5, float("inf"), None], "b": [{"c": Path("x")}, []], "d": {}, "e": "é"}
    text = to_json(value)
    assert strict(text) == {"a": [1.5, None, None], "b": [{"c": "x"}, []], "d": {}, "e": "é"}
    assert '"a": [1.5, null, null]' in text


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["metric", "fake.mean", "fake.paired", "sets.mean"]
    assert "MIT" in lines[1]
    assert "0.0 MB" in lines[1]
    assert all(word in lines[2] for word in ("lower", "2.5 GB", "NC", "video+reference"))
    assert "set of video" in lines[3]
    assert main(["list", "fake", "--names"]) == 0
    assert capsys.readouterr().out == "fake.mean\nfake.paired\n"
    assert main(["list", "fake.mean", "--json"]) == 0
    (entry,) = strict(capsys.readouterr().out)
    assert entry["weights"][0]["licence"] == "MIT"


def test_list_of_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["list", "--weights"]) == 0
    out = capsys.readouterr().out
    for part in (
        "here.bin  0.0 MB  here",
        "away.bin  2.5 GB  not here",
        "no known sha256",
        "metrics  fake.paired",
        "NC",
    ):
        assert part in out
    assert "2 files, 2.5 GB; 1 here, 2 without a known sha256" in out
    assert main(["list", "fake.paired", "--weights", "--json"]) == 0
    (entry,) = strict(capsys.readouterr().out)
    assert (entry["state"], entry["path"], entry["sha256"], entry["metrics"]) == (
        "not here",
        None,
        None,
        ["fake.paired"],
    )


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "fake.maen"]) == 2
    assert "unknown metric 'fake.maen'; did you mean 'fake.mean'?" in capsys.readouterr().err
    assert main(["fetch", "here.bim"]) == 2
    assert "did you mean 'here.bin'?" in capsys.readouterr().err


def test_score_pairs_and_set_metrics(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.metric_class("fake.paired"), "weights_files", lambda self: ())
    args = ["score", "gen", "--reference", "ref", "--metrics", "fake,sets", "--device", "cpu"]
    assert main([*args, "--param", "fake.mean:scale=2"]) == 0
    found = strict(capsys.readouterr().out)
    assert [Path(row["video"]).name for row in found["samples"]] == ["a.gif", "b.gif"]
    scores = [row["scores"]["fake.paired"]["score"] for row in found["samples"]]
    assert scores[0] == pytest.approx(0.2, abs=0.01)
    assert scores[1] == 0
    mean = found["samples"][0]["scores"]["fake.mean"]
    assert mean["score"] == pytest.approx(0.4, abs=0.01)
    assert mean["details"]["odd"] == [None, 1]
    assert found["corpus"]["sets.mean"]["status"] == "scored"
    assert found["provenance"]["metrics"]["fake.mean"]["params"] == {"scale": 2}
    assert found["provenance"]["metrics"]["fake.mean"]["weights"]["here.bin"]["sha256"]


def test_score_globs_and_writes_a_file(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pattern = str(clips / "gen" / "*.gif")
    assert main(["score", pattern, "gen/a.gif", "--metrics", "fake", "--device", "cpu", "--output", "out/r.json"]) == 0
    assert capsys.readouterr().out == ""
    found = strict((clips / "out/r.json").read_text("utf-8"))
    assert len(found["samples"]) == 2
    assert found["samples"][0]["scores"]["fake.paired"]["status"] == "skipped"


def test_a_failure_shows_in_the_exit_status(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "gen" / "broken.mp4").write_bytes(b"nothing")
    assert main(["score", "gen", "--metrics", "fake.mean", "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert "sample 2: fake.mean: failed" in captured.err
    assert strict(captured.out)["samples"][0]["scores"]["fake.mean"]["status"] == "scored"


def test_a_metric_named_itself_that_scored_nothing_is_a_failure(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "gen", "--metrics", "fake.mean,fake.paired", "--device", "cpu"]) == 1
    assert "fake.paired: no sample was scored" in capsys.readouterr().err


@pytest.fixture
def level() -> None:
    @register("fake.level")
    class Level(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(sample["video"].mean()))

    @register("fake.pair")
    class Pair(BaseMetric):
        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float((sample["video"] - sample["reference"]).abs().mean()))


def score(*args: str) -> int:
    return main(["score", *args, "--device", "cpu"])


def names(text: str) -> list[str]:
    return [Path(row["video"]).name for row in strict(text)["samples"]]


@pytest.mark.usefixtures("level")
def test_two_links_to_one_file_are_two_clips(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "gen" / "c.gif").symlink_to(clips / "gen" / "a.gif")
    assert score("gen", "gen/a.gif", "./gen/../gen/b.gif", "--metrics", "fake.level") == 0
    assert names(capsys.readouterr().out) == ["a.gif", "b.gif", "c.gif"]


@pytest.mark.usefixtures("level")
def test_a_clip_without_a_reference_counts(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "ref" / "b.gif").unlink()
    assert score("gen", "--reference", "ref", "--metrics", "fake.pair,sets") == 1
    captured = capsys.readouterr()
    assert "1 clips have no reference: b.gif" in captured.err
    assert strict(captured.out)["samples"][0]["scores"]["fake.pair"]["status"] == "scored"
    assert score("gen/a.gif", "--reference", "ref", "--metrics", "fake.pair") == 1
    assert "1 files of reference have no clip, and no set metric reads them: c.gif" in capsys.readouterr().err


@pytest.mark.usefixtures("level")
def test_position_is_asked_for_and_said(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        (clips / "ref" / f"{name}.gif").rename(clips / "ref" / f"teacher_{name}.gif")
    assert score("gen", "--reference", "ref", "--metrics", "fake.pair") == 1
    assert "2 clips have no reference: a.gif, b.gif" in capsys.readouterr().err
    assert score("gen", "--reference", "ref", "--metrics", "sets", "--pair", "set") == 0
    capsys.readouterr()
    (clips / "ref" / "teacher_c.gif").unlink()
    assert score("gen", "--reference", "ref", "--metrics", "fake.pair", "--pair", "position") == 0
    captured = capsys.readouterr()
    assert "paired by position: a.gif with teacher_a.gif\npaired by position: b.gif with teacher_b.gif" in captured.err
    assert strict(captured.out)["provenance"]["pair"] == "position"
    assert score("gen/a.gif", "--reference", "ref", "--metrics", "fake.pair", "--pair", "position") == 2


@pytest.mark.usefixtures("level")
def test_what_is_left_out_is_said_and_counts(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("._a.gif", "notes.txt", "a.png", "a.wav"):
        (clips / "gen" / name).write_bytes(b"x")
    assert score("gen", "--metrics", "fake.level") == 0
    assert names(capsys.readouterr().out) == ["a.gif", "b.gif"]
    for name in ("other.png", "song.mp3", "frames/0.png"):
        (clips / "gen" / name).parent.mkdir(exist_ok=True)
        (clips / "gen" / name).write_bytes(b"x")
    assert score("gen", "--metrics", "fake.level") == 1
    err = capsys.readouterr().err
    for line in ("song.mp3 is left out: a sound", "other.png is left out: a picture", "frames is left out: a folder"):
        assert line in err
    assert score(str(clips / "gen" / "*"), "--metrics", "fake.level") == 1
    assert "notes.txt is left out: not a clip" in capsys.readouterr().err


@pytest.mark.usefixtures("level")
@pytest.mark.parametrize("suffix", [".m4v", ".ts", ".mpg", ".mkv", ".flv", ".3gp", ".npz"])
def test_one_list_of_suffixes_for_folders_globs_and_manifests(
    clips: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    (clips / "gen" / f"d{suffix}").write_bytes(b"nothing")
    for given in ("gen", str(clips / "gen" / "*")):
        assert score(given, "--metrics", "fake.level") == 1
        captured = capsys.readouterr()
        assert names(captured.out) == ["a.gif", "b.gif", f"d{suffix}"]
        assert "sample 2: fake.level: failed" in captured.err


@pytest.mark.usefixtures("level")
def test_clips_are_in_natural_order(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (2, 10, 1):
        (clips / "gen" / f"{number}.gif").write_bytes((clips / "gen" / "a.gif").read_bytes())
    for given in ("gen", str(clips / "gen" / "*.gif")):
        assert score(given, "--metrics", "fake.level") == 0
        assert names(capsys.readouterr().out)[:3] == ["1.gif", "2.gif", "10.gif"]


@pytest.mark.usefixtures("level")
def test_a_folder_of_frames_is_a_clip(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    (clips / "gen" / "a.gif").rename(clips / "a.gif")
    (clips / "frames").mkdir()
    for number in range(3):
        Image.new("RGB", (16, 16), (51, 51, 51)).save(clips / "frames" / f"{number}.png")
    assert score("frames", "--metrics", "fake.level") == 0
    (row,) = strict(capsys.readouterr().out)["samples"]
    assert row["scores"]["fake.level"]["score"] == pytest.approx(0.2, abs=0.001)


@pytest.mark.usefixtures("level")
def test_a_metric_without_weights_does_not_end_the_others(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @register("fake.away")
    class Away(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def setup(self) -> None:
            raise UnavailableError("away.bin is missing")

    assert score("gen", "--metrics", "fake.level,fake.away") == 1
    captured = capsys.readouterr()
    assert strict(captured.out)["samples"][0]["scores"]["fake.level"]["status"] == "scored"
    assert "fake.away: away.bin is missing" in captured.err
    assert "1 metrics are left out: fake.away" in captured.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["absent.mp4"], "absent.mp4: no .mp4"),
        (["gen", "--param", "scale=2"], "expected METRIC:KEY=VALUE"),
        (["gen", "--param", "fake.mean:scael=2"], "did you mean 'scale'"),
        (["gen", "--device", "cuda:77"], "is not there"),
        (["gen", "--device", "cudda"], "device 'cudda': expected 'auto'"),
        ([], "at least one of video= or audio="),
    ],
)
def test_usage_errors(clips: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    assert main(["score", "--metrics", "fake.mean", *args]) == 2
    assert message in capsys.readouterr().err


def test_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "fake.mean"]) == 0
    assert "here.bin: here.bin" in capsys.readouterr().out
    assert main(["fetch", "fake,VBench_full_info.json"]) == 1
    captured = capsys.readouterr()
    assert "here.bin: here.bin" in captured.out
    assert all(word in captured.out for word in ("2.5 GB", "NC", "https://example.invalid/away.bin", "Apache-2.0"))
    assert "2 of 3 files could not be fetched" in captured.err
    assert main(["fetch", "all", "--dry-run"]) == 0
    assert "physics_iq_descriptions.csv" in capsys.readouterr().out
    assert main(["fetch", "sets"]) == 0
    assert "nothing to fetch" in capsys.readouterr().out


@pytest.mark.parametrize("selection", ["", ",", " "])
def test_an_empty_selection_fetches_nothing_and_is_a_usage_error(
    selection: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", selection]) == 2
    assert "vidmetrics fetch: the selection is empty" in capsys.readouterr().err


def test_a_metric_of_a_group_that_is_left_out_shows_in_the_exit_status(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @register("fake.away")
    class Away(BaseMetric):
        requires_reference: ClassVar[bool] = False

        def setup(self) -> None:
            raise UnavailableError("away.bin is missing")

    assert main(["score", "gen", "--metrics", "fake", "--reference", "ref", "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith("1 metrics are left out: fake.away\n")
    assert strict(captured.out)["samples"][0]["scores"]["fake.mean"]["status"] == "scored"


def test_the_command_of_the_error_message_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "away.bin", "--dry-run"]) == 0
    assert "away.bin" in capsys.readouterr().out


def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "expand", interrupt)
    assert main(["list"]) == 130
