"""Every gate that is collected is judged, left out by the user's own options, or an error that names it."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts

NAME = "bench.vidmetrics.toml"
PSNR = f"{NAME}::demo::common.psnr"
OTHER = f"{NAME}::demo::vbench.temporal_flickering"
# Ways to let a gate vanish while the other one is judged.
THIEVES = {
    "deselected by a hook": """
        def pytest_collection_modifyitems(config, items):
            lost = [item for item in items if item.name == "common.psnr"]
            config.hook.pytest_deselected(items=lost)
            items[:] = [item for item in items if item not in lost]
    """,
    "removed first of all": """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            items[:] = [item for item in items if item.name != "common.psnr"]
    """,
    "removed last of all": """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            yield
            items[:] = [item for item in items if item.name != "common.psnr"]
    """,
    "not run": """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(item):
            return True if item.name == "common.psnr" else None
    """,
    "run without reports": """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            if item.name == "common.psnr":
                runtestprotocol(item, nextitem=nextitem, log=False)
                return True
    """,
    "skipped by a mark": """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "common.psnr":
                    item.add_marker(pytest.mark.skip(reason="flaky"))
    """,
    "facts taken from the report": """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if item.name == "common.psnr" and hasattr(report, "vidmetrics"):
                del report.vidmetrics
                report.outcome = "passed"
            return report
    """,
    "the session ended early": """
        import pytest

        def pytest_runtest_setup(item):
            if item.name == "common.psnr":
                pytest.exit("enough", returncode=0)
    """,
}


@pytest.mark.parametrize("thief", THIEVES)
def test_a_gate_that_somebody_takes_away_makes_the_run_red_and_is_named(bench: Bench, thief: str) -> None:
    bench.record()
    bench.degrade("a")
    bench.manifest(MANIFEST + '\n[case.demo.gate."vbench.temporal_flickering"]\nabs = 9\nreason = "noise"\n')
    bench.pytester.makeconftest(THIEVES[thief])
    result = bench.run("-k", "not score") if "skipped" not in thief else bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "REGRESSED" not in verdicts(result).values()
    line = next(line for line in result.outlines if line.startswith("ERROR: "))
    assert PSNR in line or "compared nothing" in line


@pytest.mark.parametrize("thief", ["deselected by a hook", "removed last of all"])
def test_workers_tell_which_gates_they_collected(bench: Bench, thief: str) -> None:
    bench.record()
    bench.pytester.makeconftest(THIEVES[thief])
    result = bench.run("-n", "1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: 1 gate collected and never judged, taken away by *: {PSNR}"])


@pytest.mark.parametrize(
    "args",
    [
        ("-k", "flicker"),
        ("--deselect", PSNR),
        (OTHER,),
        ("-m", "not psnr"),
        ("-k", "flicker", "-n1"),
        pytest.param((OTHER, "-n1"), marks=pytest.mark.slow),
        pytest.param(("--deselect", PSNR, "-n1"), marks=pytest.mark.slow),
        pytest.param(("-m", "not psnr", "-n1"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_the_user_leaves_out_is_no_fault(bench: Bench, args: tuple[str, ...]) -> None:
    bench.record()
    bench.pytester.makeini("[pytest]\nmarkers = psnr\n")
    bench.pytester.makeconftest(
        """
        import pytest

        def pytest_itemcollected(item):
            if item.name == "common.psnr":
                item.add_marker(pytest.mark.psnr)
        """
    )
    result = bench.run(*args)
    assert result.ret == 0
    assert set(verdicts(result)) == {"vbench.temporal_flickering"}


def test_failed_first_leaves_no_gate_out(bench: Bench) -> None:
    """``--ff`` orders, it does not select: gates that vanish under it are an error."""
    bench.record()
    bench.pytester.makeconftest(
        "def pytest_collection_modifyitems(items):\n    items[:] = [i for i in items if 'score' in i.name]\n"
    )
    result = bench.run("--ff")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --vidmetrics=all compared nothing: every gate was deselected"])


EXCUSES = {
    "xfail": "item.add_marker(pytest.mark.xfail(reason='known', strict=False))",
    "xfail without running": "item.add_marker(pytest.mark.xfail(run=False))",
}


@pytest.mark.parametrize("excuse", EXCUSES)
def test_a_gate_that_a_mark_excuses_makes_the_run_red_and_is_named(bench: Bench, excuse: str) -> None:
    bench.record()
    if excuse == "xfail":
        bench.degrade("a")
    bench.pytester.makeconftest(
        f"""
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items[-2 if {excuse == "xfail"} else -1 :]:
                {EXCUSES[excuse]}
        """
    )
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: *{PSNR if excuse == 'xfail' else OTHER}*"])
    if excuse == "xfail":
        result.stdout.fnmatch_lines([f"xfailed: 2 gates red and excused by a mark: {PSNR} (REGRESSED), *"])


def test_a_report_that_is_turned_green_makes_the_run_red(bench: Bench) -> None:
    bench.record()
    bench.degrade("a")
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report
        """
    )
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: {PSNR} is REGRESSED, and its test was reported as passed: *"])


def test_a_check_that_a_test_expects_to_fail_is_no_fault(bench: Bench) -> None:
    bench.pytester.makepyfile(
        test_gen="import pytest\n\ndef test_q(vidmetrics_baseline):\n"
        "    with pytest.raises(pytest.fail.Exception):\n        vidmetrics_baseline.check('q', 1.0)\n"
    )
    assert bench.run("test_gen.py", "--vidmetrics-report=r.json", selection=None).ret == 0


def _lose(bench: Bench, how: str) -> None:
    path = bench.root / NAME
    if how == "suffix":
        path.rename(bench.root / "bench.toml")
    elif how == "deleted":
        path.unlink()
    else:
        bench.pytester.makeini(f"[pytest]\nvidmetrics = all\nnorecursedirs = {how}\n")
        (bench.root / how).mkdir()
        path.rename(bench.root / how / NAME)


@pytest.mark.parametrize("how", ["suffix", "deleted", "build"])
def test_a_configured_run_that_meets_no_manifest_and_had_baselines_is_red(bench: Bench, how: str) -> None:
    bench.record()
    bench.pytester.makepyfile(test_ok="def test_a(): pass")
    bench.pytester.makeini("[pytest]\nvidmetrics = all\n")
    assert bench.run(selection=None).ret == 0
    _lose(bench, how)
    result = bench.run(selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["ERROR: --vidmetrics=all compared nothing: no manifest was collected, and baselines holds 2 baselines of *"]
    )
    assert bench.run("test_ok.py", selection=None).ret == 0  # a run of other tests is none of its business


def test_a_configured_project_without_baselines_may_have_no_manifest(bench: Bench) -> None:
    (bench.root / NAME).unlink()
    bench.pytester.makepyfile(test_ok="def test_a(): pass")
    bench.pytester.makeini("[pytest]\nvidmetrics = all\n")
    assert bench.run(selection=None).ret == 0


def test_a_full_run_names_the_baselines_of_a_manifest_that_is_gone_and_of_one_that_is_not_collected(
    bench: Bench,
) -> None:
    bench.record()
    for name in ("gone", "hidden"):
        bench.manifest(MANIFEST, f"{name}.vidmetrics.toml")
    bench.run("--update-baselines")
    (bench.root / "gone.vidmetrics.toml").unlink()
    result = bench.run("--ignore=hidden.vidmetrics.toml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "2 baselines belong to no gate: baselines/gone/demo/common.psnr.json, *",
            "2 baselines were not used, because no test came from ../hidden.vidmetrics.toml: baselines/hidden/*",
        ]
    )
    bench.run("--ignore=hidden.vidmetrics.toml", "--prune-baselines").stdout.fnmatch_lines(["deleted *gone*"])
    assert not (bench.root / "baselines/gone/demo/common.psnr.json").exists()
    assert (bench.root / "baselines/hidden/demo/common.psnr.json").exists()


def test_pruning_works_where_the_ini_file_selects_by_marks(bench: Bench) -> None:
    bench.record()
    old = bench.baselines / "common.old.json"
    old.write_bytes((bench.baselines / "common.psnr.json").read_bytes())
    bench.pytester.makeini('[pytest]\naddopts = -m "not slow"\nmarkers = slow\n')
    assert bench.run("--prune-baselines").ret == 0
    assert not old.exists()
    old.write_bytes((bench.baselines / "common.psnr.json").read_bytes())
    assert bench.run("--prune-baselines", "-m", "not slow").ret == pytest.ExitCode.TESTS_FAILED
    assert old.exists()


def test_the_baselines_of_checks_are_named_and_pruned_when_their_test_is_gone(bench: Bench) -> None:
    bench.record()
    text = "def test_{}(vidmetrics_baseline):\n    vidmetrics_baseline.check('q', 1.0)\n"
    path = bench.root / "test_gen.py"
    path.write_text(text.format("old") + text.format("kept"))
    bench.run("--update-baselines")
    path.write_text(text.format("kept"))
    bench.run().stdout.fnmatch_lines(["1 baseline belongs to no gate: baselines/test_gen/test_old/q.json; *"])
    assert bench.run("--prune-baselines").ret == 0
    assert [one.parent.name for one in (bench.root / "baselines/test_gen").rglob("*.json")] == ["test_kept"]


def test_a_run_that_a_plugin_calls_green_is_red(bench: Bench) -> None:
    """Tests that failed and are not counted, as by a plugin that hides the exit status."""
    bench.record()
    bench.degrade("a")
    bench.pytester.makeconftest(
        """
        def pytest_runtest_logfinish(nodeid):
            SESSION[0].testsfailed = 0

        SESSION = []
        def pytest_sessionstart(session):
            SESSION.append(session)
        """
    )
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: {PSNR} is REGRESSED, and its test was reported as failed, and a plugin *"])


def test_a_gate_that_does_nothing_any_more_is_red(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(
        """
        def pytest_itemcollected(item):
            if item.name == "common.psnr":
                item.runtest = lambda: None
        """
    )
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: 1 gate collected and never judged, *: {PSNR}"])


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "worker"])
def test_what_an_ini_file_leaves_out_is_said_in_every_run(bench: Bench, workers: tuple[str, ...]) -> None:
    bench.record()
    bench.pytester.makeini(f"[pytest]\naddopts = --deselect={PSNR}\n")
    result = bench.run(*workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"1 of 2 gates left out by -k, -m, --deselect, --lf or --sw of the ini file: {PSNR}"])
    if not workers:
        bench.pytester.makeini("[pytest]\naddopts = -k score\n")
        bench.run().stdout.fnmatch_lines(["2 of 2 gates left out by *, NO GATE WAS JUDGED"])


def test_a_check_that_is_caught_or_no_longer_made_is_said(bench: Bench) -> None:
    text = "import pytest\n\ndef test_q(vidmetrics_baseline):\n    {}\n\ndef test_r(vidmetrics_baseline): pass\n"
    path = bench.root / "test_gen.py"
    path.write_text(text.format("vidmetrics_baseline.check('q', 1.0)"))
    bench.run("--update-baselines")
    caught = "with pytest.raises(pytest.fail.Exception):\n        vidmetrics_baseline.check('q', 0.5)"
    path.write_text(text.format(caught))
    result = bench.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["caught: 1 check red, and the test passed: test_gen.py::test_q 'q' (REGRESSED)"])
    path.write_text(text.format("pass"))
    result = bench.run()
    result.stdout.fnmatch_lines(["1 baseline was not used, its test passed without the check: *test_gen/test_q/q.json"])
    path.write_text(text.format("pytest.skip('no GPU')"))
    assert "without the check" not in bench.run().stdout.str()
