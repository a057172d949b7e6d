"""FVD as the usage guide has it (16 frames, 224 x 224, 1024 features): clips of two methods to its result files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import Bench
from tests.support.clips import noisy, scene, write_clip
from tests.support.oracle_fill import fill_array

DATA = Path(__file__).parents[1] / "data" / "fvd"
MANIFEST = """\
schema = 1
[case.i2v]
samples = "rows.jsonl"
reference = "reference/{category}/{id}.mp4"
metrics = ["common.fvd"]
[case.i2v.metric."common.fvd"]
protocol = "usage-guide"
weights = "i3d.pt"
[case.i2v.method.wan]
video = "generated/i2v_wan14b_480p/{category}/{id}_i2v14b.mp4"
[case.i2v.method.framepack]
video = "generated/i2v_framepack_480p/{category}/{id}_framepack.mp4"
"""


@pytest.mark.slow
def test_two_folders_of_clips_come_to_the_result_files_of_the_guide(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(bench.root)
    shapes = json.loads(gzip.decompress((DATA / "i3d.keys.json.gz").read_bytes()))
    state = {k: torch.from_numpy(fill_array(k, tuple(s))) for k, (s, kind) in shapes.items() if kind == "float32"}
    torch.save(state, bench.root / "i3d.pt")
    rows = []
    for number, category in enumerate(("cooking", "sport")):
        name = f"v{number}"
        rows.append({"id": name, "category": category, "text_prompt": name})
        still = scene(number, frames=16)
        write_clip(bench.root / f"reference/{category}/{name}.mp4", still)
        for method, ending, strength in (("i2v_wan14b_480p", "i2v14b", 3.0), ("i2v_framepack_480p", "framepack", 9.0)):
            path = bench.root / f"generated/{method}/{category}/{name}_{ending}.mp4"
            write_clip(path, noisy(still, strength))
    (bench.root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.manifest(MANIFEST)
    result = bench.run("--update-baselines", "--vidmetrics-ranking=fvd_results")
    # Two clips in 1024 dimensions have a distance, and say nothing of who is better.
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(["*the methods are not ranked: *2 rows of 1024 features cannot be ranked*common.kvd*"])
    (summary,) = (bench.root / "fvd_results").glob("benchmark_summary_*.json")
    tree = json.loads(summary.read_text())
    assert set(tree) == {"timestamp", "reference_dir", "methods"}
    assert set(tree["methods"]) == {"wan", "framepack"}
    one = json.loads(Path(tree["methods"]["wan"]["output_file"]).read_text())
    assert one["real_features_shape"] == one["generated_features_shape"] == [2, 1024]
    assert one["generated_videos_dir"].endswith("generated/i2v_wan14b_480p")
    assert one["fvd"] == tree["methods"]["wan"]["fvd"]
    # The same number from two folders alone, as the guide's other script computes it.
    capsys.readouterr()
    weights, protocol = "common.fvd:weights=i3d.pt", "common.fvd:protocol=usage-guide"
    clips = [
        str(bench.root / f"generated/i2v_wan14b_480p/{c}/{n}_i2v14b.mp4")
        for c, n in (("cooking", "v0"), ("sport", "v1"))
    ]
    real = [str(bench.root / f"reference/{c}/{n}.mp4") for c, n in (("cooking", "v0"), ("sport", "v1"))]
    command = ["score", *clips, "--reference", *real, "--pair", "set", "--metrics", "common.fvd", "--device", "cpu"]
    assert main([*command, "--param", weights, "--param", protocol]) == 0
    assert json.loads(capsys.readouterr().out)["corpus"]["common.fvd"]["score"] == pytest.approx(one["fvd"], rel=1e-6)
