"""Each bad input gives one clear message and a red run; nothing is lost or half-written."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.baselines import edit_baseline
from tests.support.clips import scene, write_clip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("reference =", "referense ="), "bench.vidmetrics.toml:6: unknown key 'referense'*did you mean 'reference'?"),
        (('"common.psnr"', '"common.pnsr"'), "bench.vidmetrics.toml:7: unknown metric 'common.pnsr'*'common.psnr'?"),
        (("abs = 0.001", "abz = 0.001"), "bench.vidmetrics.toml:10: unknown key 'abz'*did you mean 'abs'?"),
        (
            ("abs = 0.001", 'decide = "maybe"'),
            "bench.vidmetrics.toml:10: decide must be one of point, strict, lenient*",
        ),
        (("abs = 0.001", "abs = -1"), "bench.vidmetrics.toml:10: abs must be finite and not negative*"),
        (("schema = 1", "schema = 9"), "bench.vidmetrics.toml:1: this version reads schema = 1, got 9"),
        (("schema = 1", "schema = = 1"), "bench.vidmetrics.toml:1: not valid TOML*"),
        (
            ('checkpoint = "candidate"', "clips_per_item = 0"),
            "bench.vidmetrics.toml:5: clips_per_item must be a whole number*",
        ),
    ],
)
def test_a_broken_manifest_is_one_red_item_that_names_the_line(
    bench: Bench, change: tuple[str, str], message: str
) -> None:
    bench.manifest(MANIFEST.replace(*change))
    result = bench.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{message}*".replace("[", "[[]")])


def test_a_broken_manifest_stays_red_under_k_and_m(bench: Bench) -> None:
    bench.manifest("schema = 2")
    bench.run("-k", "something_else").assert_outcomes(failed=1)
    bench.run("-m", "not slow").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("clips/reference/*.mp4", "clips/nowhere/*.mp4"), "*:6: reference = 'clips/nowhere/[*].mp4' matches no file*"),
        (('checkpoint = "candidate"', ""), "*:4: {checkpoint} has no value*"),
        (("{checkpoint}", "{chekpoint}"), "*:4: unknown placeholder {chekpoint}; did you mean 'checkpoint'?*"),
        (("{checkpoint}", "{env:VIDMETRICS_NOT_SET}"), "*the environment variable VIDMETRICS_NOT_SET is not set*"),
    ],
)
def test_samples_that_cannot_be_listed_make_every_gate_red(bench: Bench, change: tuple[str, str], message: str) -> None:
    bench.manifest(MANIFEST.replace(*change))
    result = bench.run()
    result.assert_outcomes(failed=2)
    assert set(verdicts(result).values()) == {"ERROR"}
    result.stdout.fnmatch_lines([f"{message}"])
    bench.run("-k", "psnr").assert_outcomes(failed=1, deselected=1)


def test_orphans_in_pairing_are_named(bench: Bench) -> None:
    (bench.root / "clips" / "reference" / "b.mp4").rename(bench.root / "clips" / "reference" / "z.mp4")
    result = bench.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*orphans: 1 video without reference: b; 1 reference without video: z*"])


def test_ids_that_differ_in_case_only_are_an_error(bench: Bench) -> None:
    for folder in ("candidate", "reference"):
        write_clip(bench.root / "clips" / folder / "A.mp4", scene(0))
    bench.run().stdout.fnmatch_lines(["*have ids that differ in case only*"])


@pytest.mark.parametrize(
    "content",
    [b"", b"this is a text file\n" * 40, None],
    ids=["zero bytes", "text named mp4", "truncated"],
)
def test_a_clip_that_cannot_be_read_fails_its_item_and_the_gates_and_nothing_else(
    bench: Bench, content: bytes | None
) -> None:
    bench.record()
    path = bench.candidate("b")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    result = bench.run()
    result.assert_outcomes(passed=3, failed=3)
    assert set(verdicts(result).values()) == {"ERROR"}
    result.stdout.fnmatch_lines(["*candidate/b.mp4*"])
    assert "Traceback" not in result.stdout.str()


def test_a_damaged_clip_never_becomes_part_of_a_baseline(bench: Bench) -> None:
    bench.record()
    before = {path.name: path.read_bytes() for path in bench.baselines.iterdir()}
    bench.candidate("b").write_bytes(b"")
    assert bench.run("--update-baselines").ret == 1
    assert {path.name: path.read_bytes() for path in bench.baselines.iterdir()} == before


def test_a_clip_that_disappears_after_collection_is_an_error(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(
        """
        import pathlib

        def pytest_runtestloop():
            pathlib.Path("clips/candidate/c.mp4").unlink()
        """
    )
    result = bench.run()
    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(["*cannot read *candidate/c.mp4: No such file or directory*"])


_METRIC = """
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

def pytest_vidmetrics_register_metrics(registry):
    class Probe(BaseMetric):
        requires_reference = False
        {body}
    Probe.__qualname__ = "{name}"
    registry.register("probe.{name}")(Probe)
"""


def _probe(bench: Bench, name: str, body: str) -> None:
    bench.pytester.makeconftest(_METRIC.format(name=name, body=body))
    listed = f'"probe.{name}"'
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', listed))


def test_a_nan_score_is_an_error_and_is_not_stored(bench: Bench) -> None:
    _probe(
        bench,
        "nan",
        "def compute(self, sample): return MetricResult(self.name, float('nan') if sample['video'].mean() else 1.0)",
    )
    for _ in range(2):
        result = bench.run("--update-baselines")
        assert result.ret == 1
        assert verdicts(result) == {"probe.nan": "ERROR"}
        result.stdout.fnmatch_lines(["*the score is nan, not a finite number*"])
    assert not bench.baselines.exists()


@pytest.mark.parametrize("error", ["MemoryError", "torch.OutOfMemoryError", "KeyError"])
def test_a_metric_that_raises_fails_with_its_traceback(bench: Bench, error: str) -> None:
    name = error.replace(".", "_")
    _probe(bench, name, f"def compute(self, sample):\n            import torch\n            raise {error}('no room')")
    result = bench.run()
    result.assert_outcomes(failed=5)
    assert verdicts(result) == {f"probe.{name}": "ERROR"}
    result.stdout.fnmatch_lines(["*no room*", "*in compute*"])


def test_missing_weights_are_unavailable_and_red(bench: Bench) -> None:
    body = (
        "def setup(self):\n            from pytest_vidmetrics.core.errors import UnavailableError\n"
        "            raise UnavailableError('weights of probe are missing: vidmetrics fetch probe')"
    )
    _probe(bench, "absent", body)
    result = bench.run()
    result.assert_outcomes(skipped=4, failed=1)
    assert verdicts(result) == {"probe.absent": "UNAVAILABLE"}
    allowed = bench.run("--vidmetrics-allow-unavailable")
    allowed.assert_outcomes(skipped=5)
    assert verdicts(allowed) == {"probe.absent": "UNAVAILABLE"}


_NO_WEIGHTS = (
    "def setup(self):\n            from pytest_vidmetrics.core.errors import UnavailableError\n"
    "            raise UnavailableError('weights of probe are missing')"
)


def test_a_metric_that_only_a_group_of_the_command_line_brought_in_is_skipped_with_the_reason(bench: Bench) -> None:
    _probe(bench, "optional", _NO_WEIGHTS)
    bench.manifest(MANIFEST.replace('metrics = ["common.psnr", "vbench.temporal_flickering"]\n', ""))
    result = bench.run("-rs", "-k", "probe.optional", selection="probe")
    result.assert_outcomes(skipped=1, deselected=4)
    result.stdout.fnmatch_lines(["SKIPPED*weights of probe are missing*"])


def test_a_group_in_a_manifest_counts_as_named(bench: Bench) -> None:
    one = _METRIC.format(name="one", body=_NO_WEIGHTS)
    bench.pytester.makeconftest(f'{one}    registry.register("probe.two")(type("Two", (Probe,), {{}}))\n')
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"common.psnr", "probe"'))
    recorded = bench.run("--update-baselines")
    assert verdicts(recorded) == {"common.psnr": "RECORDED", "probe.one": "UNAVAILABLE", "probe.two": "UNAVAILABLE"}
    for selection in ("all", "probe", "common,probe"):
        result = bench.run(selection=selection)
        assert result.ret == 1
        assert verdicts(result)["probe.one"] == verdicts(result)["probe.two"] == "UNAVAILABLE"
        lines = [line for line in result.outlines if line.startswith("not available for")]
        assert lines == ["not available for 2 gates (probe.one, probe.two): weights of probe are missing"]


def test_a_baseline_of_another_schema_is_named_and_survives(bench: Bench) -> None:
    bench.record()
    path = bench.baselines / "common.psnr.json"
    edit_baseline(path, {"schema": 7}, sealed=False)
    result = bench.run()
    assert verdicts(result)["common.psnr"] == "ERROR"
    result.stdout.fnmatch_lines(["*common.psnr.json: not a baseline of schema 1: it has schema 7*"])
    assert json.loads(path.read_text())["schema"] == 7


def test_a_corrupted_baseline_is_named(bench: Bench) -> None:
    bench.record()
    (bench.baselines / "common.psnr.json").write_text('{"schema": 1,\n')
    result = bench.run()
    assert verdicts(result)["common.psnr"] == "ERROR"
    result.stdout.fnmatch_lines(["*common.psnr.json:2: the baseline is not valid JSON*"])


def test_a_baseline_folder_that_cannot_be_written_keeps_the_run_red(bench: Bench) -> None:
    (bench.root / "baselines").write_text("a file where the folder should be")
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot write baselines below*name another folder with --baseline-dir=DIR*"])


def test_a_baseline_folder_that_is_a_link_to_itself_is_named(bench: Bench) -> None:
    (bench.root / "baselines").symlink_to("baselines")
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: cannot write the baseline *common.psnr.json*"])
    assert "Traceback" not in result.stdout.str()
    for arguments in ((), ("--prune-baselines",)):
        result = bench.run(*arguments)
        assert set(verdicts(result).values()) == {"ERROR"}
        result.stdout.fnmatch_lines(["*cannot read the baseline *common.psnr.json*"])
        assert "Traceback" not in result.stdout.str()


def test_a_baseline_that_cannot_be_written_at_the_end_keeps_the_run_red(bench: Bench) -> None:
    (bench.baselines / "common.psnr.json").mkdir(parents=True)
    result = bench.run("--update-baselines")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: cannot write the baseline *common.psnr.json*"])
    assert bench.baseline("vbench.temporal_flickering")["n"] == 4


def test_a_store_that_cannot_be_written_is_a_usage_error(bench: Bench) -> None:
    (bench.root / "occupied").write_text("a file where the folder should be")
    result = bench.run("--vidmetrics-cache=occupied")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot write to the result store*name another folder with --vidmetrics-cache=DIR*"])


def test_a_torn_store_entry_is_computed_again(bench: Bench) -> None:
    bench.record()
    entries = sorted((bench.root / "cache" / "store" / "results").rglob("*.json"))
    entries[0].write_bytes(entries[0].read_bytes()[:20])
    result = bench.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["work: * decoded, 1 computed, *"])


def test_a_tampered_store_entry_is_not_believed(bench: Bench) -> None:
    bench.record()
    for entry in (bench.root / "cache" / "store" / "results").rglob("*.json"):
        entry.write_text(entry.read_text().replace('"score":', '"score":9'))
    assert bench.run().ret == 0


def test_tabs_byte_order_marks_and_windows_line_ends_are_fine(bench: Bench) -> None:
    text = MANIFEST.replace("checkpoint = ", "\tcheckpoint\t=\t").replace("\n", "\r\n")
    (bench.root / "bench.vidmetrics.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    bench.record()


@pytest.mark.parametrize("name", ["bench.vidmetrics.yaml", "Bench.vidmetrics.toml"])
def test_two_manifests_of_one_place_do_not_share_baselines(bench: Bench, name: str) -> None:
    (bench.root / name).write_text(MANIFEST if name.endswith(".toml") else "schema: 1\ncase: {demo: {video: clips}}\n")
    result = bench.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*has the same place for its baselines; rename one*"])
