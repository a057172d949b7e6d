"""Options one by one: prune, cohort, shard and judge, cache, device, checkpoint, ini twins, fixtures."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts


def test_prune_deletes_what_no_gate_uses_and_only_that(bench: Bench) -> None:
    bench.record()
    old = bench.baselines / "common.old.json"
    old.write_text((bench.baselines / "common.psnr.json").read_text())
    other = bench.root / "baselines" / "another_manifest" / "demo" / "x.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    cohort = bench.baselines / "common.psnr@h100.json"
    cohort.write_text((bench.baselines / "common.psnr.json").read_text())
    result = bench.run("--prune-baselines")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["deleted baselines/bench/demo/common.old.json"])
    assert not old.exists()
    assert other.exists()
    assert cohort.exists()
    assert (bench.baselines / "common.psnr.json").exists()


@pytest.mark.parametrize("extra", [("-k", "psnr"), ("-m", "not slow"), ("bench.vidmetrics.toml::demo::common.psnr",)])
def test_prune_refuses_a_partial_run(bench: Bench, extra: tuple[str, ...]) -> None:
    bench.record()
    old = bench.baselines / "common.old.json"
    old.write_text("{}")
    result = bench.run("--prune-baselines", *extra)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR: --prune-baselines needs a full run*nothing was deleted"])
    assert old.exists()


def test_prune_refuses_a_part_of_the_metrics(bench: Bench) -> None:
    bench.record()
    assert bench.run("--prune-baselines", selection="common").ret == 1
    assert len(list(bench.baselines.iterdir())) == 2


def test_a_cohort_has_baselines_of_its_own_and_falls_back(bench: Bench) -> None:
    bench.record()
    result = bench.run("--vidmetrics-cohort=h100")
    assert set(verdicts(result).values()) == {"PASS"}
    result.stdout.fnmatch_lines(["cohort h100: 0 of 2 gates have baselines of its own; the others are judged by *"])
    bench.degrade("a")
    assert bench.run("--vidmetrics-cohort=h100", "--update-baselines", "-k", "psnr").ret == 0
    assert (bench.baselines / "common.psnr@h100.json").exists()
    assert bench.run("-k", "psnr").ret == 1
    on_cohort = bench.run("--vidmetrics-cohort=h100", "-k", "psnr")
    assert on_cohort.ret == 0
    on_cohort.stdout.fnmatch_lines(["*common.psnr @h100 *PASS", "cohort h100: 1 of 1 gates have baselines of its own"])


def test_shards_fill_one_store_and_a_judge_reads_it(bench: Bench) -> None:
    bench.record()
    for part in ("1/2", "2/2"):
        result = bench.run(f"--vidmetrics-shard={part}", "--vidmetrics-cache=shared")
        result.assert_outcomes(passed=2, skipped=2)
        result.stdout.fnmatch_lines([f"shard {part} (--vidmetrics-shard): clips were scored, NO GATE WAS JUDGED"])
    judged = bench.run("--vidmetrics-judge", "--vidmetrics-cache=shared")
    judged.assert_outcomes(passed=2)
    judged.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])


def test_a_judge_without_all_shards_is_red(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-shard=1/2", "--vidmetrics-cache=shared")
    judged = bench.run("--vidmetrics-judge", "--vidmetrics-cache=shared")
    judged.assert_outcomes(failed=2)
    assert set(verdicts(judged).values()) == {"ERROR"}
    judged.stdout.fnmatch_lines(["*not in the store*"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--vidmetrics-shard=5/4", "*expected K/N with 1 <= K <= N*"),
        ("--vidmetrics-device=gpu", "*expected auto, cpu, cuda or cuda:N*"),
        ("--vidmetrics-report=out.txt", "*expected FILE.json, FILE.html, or a folder*"),
        ("--vidmetrics-cohort=../h100", "*expected letters, digits*"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(bench: Bench, option: str, message: str) -> None:
    result = bench.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_the_checkpoint_option_picks_another_folder(bench: Bench) -> None:
    bench.record()
    result = bench.run("--vidmetrics-checkpoint=reference", "-k", "psnr")
    assert verdicts(result) == {"common.psnr": "IMPROVED"}
    result = bench.run("--vidmetrics-checkpoint=nowhere")
    assert set(verdicts(result).values()) == {"ERROR"}


def test_the_command_in_a_failure_records_that_gate(bench: Bench) -> None:
    text = bench.run("-k", "psnr").stdout.str()
    command = re.search(r'^ +pytest "(.+)" (--vidmetrics=\S+) --update-baselines$', text, re.MULTILINE)
    assert command is not None
    bench.run(command.group(1), command.group(2), "--update-baselines", selection=None).assert_outcomes(passed=1)
    assert bench.run("-k", "psnr").ret == 0


def test_ini_values_are_twins_of_the_options(bench: Bench) -> None:
    bench.pytester.makeini(
        "[pytest]\nvidmetrics = common.psnr\nvidmetrics_baseline_dir = kept\nvidmetrics_cache = mine\n"
        "vidmetrics_update_baselines = true\nvidmetrics_report = out.json\nvidmetrics_device = cpu\n"
    )
    assert bench.run(selection=None).ret == 0
    assert (bench.root / "kept" / "bench" / "demo" / "common.psnr.json").exists()
    assert (bench.root / "mine" / "store").is_dir()
    assert json.loads((bench.root / "out.json").read_text())["gates"]


def test_a_prompt_that_changes_makes_a_baseline_stale(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        from pytest_vidmetrics.core.types import MetricResult
        from pytest_vidmetrics.metrics.base import BaseMetric

        def pytest_vidmetrics_register_metrics(registry):
            class Words(BaseMetric):
                requires = ("video", "text_prompt")
                requires_reference = False

                def compute(self, sample):
                    return MetricResult(self.name, float(len(sample["text_prompt"])))

            registry.register("probe.words")(Words)
        """
    )
    text = MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.words"')
    bench.manifest(text.replace("metrics =", 'samples = "rows.jsonl"\nmetrics ='))
    rows = [{"id": name, "text_prompt": f"a clip {name}"} for name in bench.clips]
    path = bench.root / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    bench.run("--update-baselines").assert_outcomes(passed=5)
    rows[0]["text_prompt"] = "another clip"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert verdicts(bench.run()) == {"probe.words": "STALE"}


def test_fixtures_serve_ordinary_test_files(bench: Bench) -> None:
    bench.pytester.makepyfile(
        """
        import pytest

        def test_psnr(vidmetrics, vidmetrics_samples, vidmetrics_baseline, vidmetrics_device):
            assert vidmetrics_device == "cpu"
            psnr = vidmetrics("common.psnr")
            scores = [
                psnr.evaluate(video=s.values["video"], reference=s.values["reference"])["common.psnr"].score
                for s in vidmetrics_samples("bench.vidmetrics.toml", "demo")
            ]
            vidmetrics_baseline.check("psnr", sum(scores) / len(scores), abs=0.1)

        def test_one_network_a_worker(vidmetrics_backbone):
            assert vidmetrics_backbone("net", object) is vidmetrics_backbone("net", object)
        """
    )
    missing = bench.run(selection=None)
    missing.assert_outcomes(passed=1, failed=1)
    missing.stdout.fnmatch_lines(["*MISSING: no baseline is recorded for this gate*"])
    bench.run("--update-baselines", selection=None).assert_outcomes(passed=2)
    bench.run(selection=None).assert_outcomes(passed=2)
    for name in bench.clips:
        bench.degrade(name)
    worse = bench.run(selection=None)
    worse.assert_outcomes(passed=1, failed=1)
    worse.stdout.fnmatch_lines(["*REGRESSED: worse by*"])


def test_a_set_metric_gates_without_pairs(bench: Bench) -> None:
    bench.manifest(
        MANIFEST.replace('metrics = ["common.psnr", "vbench.temporal_flickering"]', 'metrics = ["fvd"]\npair = "set"')
        + '\n[case.demo.metric.fvd]\nuse = "common.fvd"\nextractor = "motion_energy"\n'
    )
    bench.run("--update-baselines").assert_outcomes(passed=9)
    assert verdicts(bench.run()) == {"fvd": "PASS"}
    bench.degrade("b", 60.0)
    result = bench.run()
    assert verdicts(result) == {"fvd": "REGRESSED"}
    result.stdout.fnmatch_lines(["*clips that got worse, worst first:*", "*clip *", "* b *"])


def test_a_pair_is_decoded_once_for_frames_and_features(bench: Bench) -> None:
    bench.manifest(
        MANIFEST.replace('"vbench.temporal_flickering"]', '"vbench.temporal_flickering", "fvd"]')
        + '\n[case.demo.metric.fvd]\nuse = "common.fvd"\nextractor = "motion_energy"\n'
    )
    bench.run().stdout.fnmatch_lines(["work: 8 decoded, 16 computed, *"])


def test_shard_size_groups_samples(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("[case.demo.gate", "clips_per_item = 3\n[case.demo.gate"))
    result = bench.run("--collect-only", "-q")
    assert [line for line in result.outlines if "score" in line] == [
        "bench.vidmetrics.toml::demo::score[a..c]",
        "bench.vidmetrics.toml::demo::score[d]",
    ]


def test_idle_threads_of_a_run_sleep_and_the_variable_goes_with_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    bench.pytester.makeconftest(
        """
        import os

        def pytest_vidmetrics_load_samples(config, case):
            print("policy", os.environ.get("OMP_WAIT_POLICY"))
        """
    )
    bench.run("-s", "--collect-only").stdout.fnmatch_lines(["*policy PASSIVE*"])
    assert "OMP_WAIT_POLICY" not in os.environ
