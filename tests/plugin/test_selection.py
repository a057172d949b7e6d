"""Items are real pytest items: node ids, -k, -m, -x, --lf, --collect-only, fixtures and marks."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts


def test_collect_only_shows_clean_ids_and_opens_no_clip(bench: Bench) -> None:
    for path in (bench.root / "clips" / "candidate").iterdir():
        path.write_bytes(b"")
    result = bench.run("--collect-only", "-q")
    assert result.ret == 0
    assert [line for line in result.outlines if "::" in line] == [
        "bench.vidmetrics.toml::demo::score[a]",
        "bench.vidmetrics.toml::demo::score[b]",
        "bench.vidmetrics.toml::demo::score[c]",
        "bench.vidmetrics.toml::demo::score[d]",
        "bench.vidmetrics.toml::demo::common.psnr",
        "bench.vidmetrics.toml::demo::vbench.temporal_flickering",
    ]


def test_a_gate_alone_computes_what_it_needs(bench: Bench) -> None:
    bench.record()
    bench.degrade("a")
    result = bench.run("bench.vidmetrics.toml::demo::common.psnr")
    result.assert_outcomes(failed=1)
    assert verdicts(result) == {"common.psnr": "REGRESSED"}


def test_a_scoring_item_can_be_named(bench: Bench) -> None:
    bench.run("bench.vidmetrics.toml::demo::score[b]").assert_outcomes(passed=1)


@pytest.mark.parametrize("expression", ["psnr", "common and not score", "temporal_flickering"])
def test_keyword_selects_single_gates(bench: Bench, expression: str) -> None:
    bench.record()
    result = bench.run("-k", expression)
    result.assert_outcomes(passed=1, deselected=5)


def test_marks_of_a_case_work_with_m(bench: Bench) -> None:
    bench.pytester.makeini("[pytest]\nmarkers =\n    nightly: at night\n")
    bench.manifest(MANIFEST.replace("[case.demo.gate", 'marks = ["nightly"]\n[case.demo.gate'))
    bench.record()
    bench.run("-m", "nightly").assert_outcomes(passed=6)
    bench.run("-m", "not nightly").assert_outcomes(deselected=6)


def test_a_skip_mark_on_a_case_skips_its_items(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("[case.demo.gate", 'marks = ["skip"]\n[case.demo.gate'))
    bench.run().assert_outcomes(skipped=6)


def test_last_failed_reruns_the_red_gate_only(bench: Bench) -> None:
    bench.record()
    text = MANIFEST.replace(
        "abs = 0.001",
        'abs = 0.001\n[case.demo.gate."vbench.temporal_flickering"]\nabs = 1.0\nreason = "noise"',
    )
    bench.manifest(text)
    bench.degrade("a")
    bench.run().assert_outcomes(passed=5, failed=1)
    result = bench.run("--lf")
    assert verdicts(result) == {"common.psnr": "REGRESSED"}


def test_stop_at_first_failure(bench: Bench) -> None:
    bench.run("-x").assert_outcomes(passed=4, failed=1)


def test_fixtures_run_around_items_autouse_and_named(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        import pytest

        seen = []

        @pytest.fixture(autouse=True, scope="module")
        def of_the_module(request):
            seen.append("module")

        @pytest.fixture
        def named(request):
            yield
            seen.append(request.node.name)

        def pytest_terminal_summary(terminalreporter):
            terminalreporter.line("seen " + ",".join(seen))
        """
    )
    bench.manifest(MANIFEST.replace("[case.demo.gate", 'fixtures = ["named"]\n[case.demo.gate'))
    result = bench.run("-k", "psnr", "--update-baselines")
    result.stdout.fnmatch_lines(["seen module,common.psnr"])


def test_the_same_verdicts_in_reverse_order(bench: Bench) -> None:
    bench.record()
    bench.degrade("b")
    forward = verdicts(bench.run())
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items.reverse()
        """
    )
    assert verdicts(bench.run("--vidmetrics-cache=fresh")) == forward
    assert set(forward.values()) == {"REGRESSED"}


def test_an_unknown_metric_in_the_selection_is_a_usage_error(bench: Bench) -> None:
    result = bench.run(selection="common.pnsr")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown metric or group 'common.pnsr'; did you mean 'common.psnr'?*"])


def test_a_selection_that_meets_no_gate_is_not_green(bench: Bench) -> None:
    assert bench.run(selection="common.ssim").ret == pytest.ExitCode.NO_TESTS_COLLECTED
