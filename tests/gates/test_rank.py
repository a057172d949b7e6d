from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.gates.rank import Features, RankedGate, rank, table
from pytest_vidmetrics.gates.rank_report import RankReport, markdown, to_json, write_guide_files
from pytest_vidmetrics.stats.frechet import frechet


def score(samples: dict[str, float], **more: Any) -> CorpusScore:
    mean = sum(samples.values()) / len(samples)
    facts: dict[str, Any] = {
        "metric": {"name": "my.metric", "version": "1"},
        "higher_is_better": True,
        "score": mean,
        "samples": samples,
        "paths": {},
        "sample_ids": "x",
        "reference": None,
        "is_mean": True,
    }
    return CorpusScore(**{**facts, **more})


def scores() -> dict[str, CorpusScore]:
    rng = np.random.default_rng(0)
    base = rng.normal(size=20)
    noisy = {m: base + s + 0.1 * rng.normal(size=20) for m, s in {"old": 0.0, "new": 1.0, "same": 0.0}.items()}
    return {m: score({f"p{i}": float(v) for i, v in enumerate(row)}) for m, row in noisy.items()}


def test_the_table_says_who_is_first_and_who_is_not_told_apart() -> None:
    rows = table(rank("my.metric", scores()))
    assert rows[1][:2] == ("1", "new")
    assert {row[:2] for row in rows[2:]} == {("2", "old"), ("2", "same")}
    assert rows[1][4] == ""
    assert "not told apart" not in rows[2][4]
    tied = {m: s for m, s in scores().items() if m != "new"}
    assert "not told apart" in table(rank("my.metric", tied))[2][4]


def report(ranked: RankedGate) -> RankReport:
    return RankReport("b::i2v", ranked.gate, tuple(table(ranked)), ranked.result())


def test_json_and_markdown_hold_every_method_and_pair() -> None:
    ranked = rank("my.metric", scores())
    reports = [report(ranked), RankReport("b::i2v", "b.gate", reason="why | <script>")]
    assert [RankReport.from_wire(one.to_wire()) for one in reports] == reports
    tree = json.loads(json.dumps(to_json(reports, {"time": "now"})))["cases"]["b::i2v"]
    assert len(tree["gates"]["my.metric"]["methods"]) == 3
    assert len(tree["gates"]["my.metric"]["differences"]) == 3
    assert tree["not_ranked"] == {"b.gate": "why | <script>"}
    text = markdown(reports)
    assert text.count("\n| ") == 5  # a heading, a rule and three methods
    assert "why \\| &lt;script>" in text


def features(shift: float, n: int = 24, d: int = 4) -> Features:
    rng = np.random.default_rng(1)
    rows = {m: {f"p{i}": rng.normal(size=(1, d)) + s for i in range(n)} for m, s in {"a": 0.0, "b": shift}.items()}
    return Features(rows, {f"r{i}": rng.normal(size=(1, d)) for i in range(n)}, lambda x, y: frechet(x, y).distance, d)


def test_a_set_metric_is_ranked_by_its_rows() -> None:
    both = {
        m: score({f"p{i}": 0.0 for i in range(24)}, is_set=True, is_mean=False, higher_is_better=False) for m in "ab"
    }
    places = rank("common.fvd", both, features(2.0)).ranking.places
    assert [(place.method, place.rank) for place in places] == [("a", 1), ("b", 2)]
    with pytest.raises(VidmetricsError, match="no features"):
        rank("common.fvd", both)
    with pytest.raises(VidmetricsError, match=r"24 rows of 32 features.*common\.kvd"):
        rank("common.fvd", both, features(2.0, d=32))
    enough = rank("common.fvd", both, features(2.0, d=32), min_n=24)
    assert "singular" in enough.remarks[0]
    with pytest.raises(VidmetricsError, match="cannot be ranked"):
        rank("common.fvd", both, features(2.0, d=32), min_n=25)
    assert rank("common.kvd", both, replace(features(2.0, d=32), by_covariance=False)).ranking.n == 24


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"problems": (Problem("p3", "failed", "not generated"),)}, "old: 1 problems; first: p3: not generated"),
        ({"score": None}, "no sample was scored"),
        ({"metric": {"name": "my.metric", "version": "2"}}, "another metric, version"),
        ({"samples": {"q": 1.0}}, "other samples"),
    ],
)
def test_methods_that_cannot_be_compared_are_refused(change: dict[str, Any], text: str) -> None:
    found = scores()
    found["old"] = replace(found["old"], **change)
    with pytest.raises(VidmetricsError, match=text):
        rank("my.metric", found)


def test_methods_with_other_samples_are_intersected_aloud_when_asked() -> None:
    found = scores()
    found["old"] = replace(found["old"], samples={k: v for k, v in found["old"].samples.items() if k != "p3"})
    with pytest.raises(VidmetricsError, match="other samples: p3"):
        rank("my.metric", found)
    ranked = rank("my.metric", found, common="intersect")
    assert ranked.ranking.n == 19
    assert ranked.remarks == ("ranked on the 19 samples that all methods have; 1 others are left out",)


def test_the_files_of_the_guide_keep_their_names_and_keys(tmp_path: Path) -> None:
    shapes = {"wan": ([70, 1024], [70, 1024]), "framepack": ([70, 1024], [69, 1024])}
    folders = {"wan": "generated/wan", "framepack": "generated/framepack"}
    written = write_guide_files(
        tmp_path, {"wan": 40.73, "framepack": 32.49}, shapes, folders, "reference", "20251106_090712"
    )
    one = json.loads((tmp_path / "fvd_wan_20251106_090712.json").read_text())
    assert one == {
        "fvd": 40.73,
        "num_real_videos": 70,
        "num_generated_videos": 70,
        "real_features_shape": [70, 1024],
        "generated_features_shape": [70, 1024],
        "real_videos_dir": "reference",
        "generated_videos_dir": "generated/wan",
    }
    summary = json.loads(written[-1].read_text())
    assert summary["timestamp"] == "20251106_090712"
    assert summary["methods"]["framepack"]["num_videos"] == 69
    assert Path(summary["methods"]["framepack"]["output_file"]) == written[1]
