"""``vidmetrics_baseline.check``: every check has a baseline file of its own, or fails."""

from __future__ import annotations

import shutil

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts

CLASSES = """
import os

class TestFast:
    def test_q(self, vidmetrics_baseline):
        vidmetrics_baseline.check("q", 0.6 if os.environ.get("BAD") else 0.9)

class TestSlow:
    def test_q(self, vidmetrics_baseline):
        vidmetrics_baseline.check("q", 0.5)
"""
PLAIN_TEST = "def test_q(vidmetrics_baseline):\n    vidmetrics_baseline.check('q', {score})\n"
PARAMETERS = """
import pytest

@pytest.mark.parametrize("text", ["a b", "a-b"])
def test_p(vidmetrics_baseline, text):
    vidmetrics_baseline.check("q", float(len(text)))
"""
UNSPELLABLE = """
def test_q(vidmetrics_baseline):
    vidmetrics_baseline.check("a b", 0.9)
    vidmetrics_baseline.check("a  b", 0.5)
"""
TWICE = """
def test_q(vidmetrics_baseline):
    vidmetrics_baseline.check("q", 0.9)
    vidmetrics_baseline.check("q", 0.5)
"""


def _files(bench: Bench) -> list[str]:
    folder = bench.root / "baselines"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))


def test_classes_have_baselines_of_their_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pytester.makepyfile(test_gen=CLASSES)
    bench.run("--update-baselines", "test_gen.py", selection=None).assert_outcomes(passed=2)
    assert _files(bench) == ["test_gen/TestFast-test_q/q.json", "test_gen/TestSlow-test_q/q.json"]
    assert bench.run("test_gen.py", selection=None).ret == 0
    monkeypatch.setenv("BAD", "1")
    result = bench.run("test_gen.py", selection=None)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*REGRESSED: worse by 0.3,*"])


def test_a_plain_test_keeps_the_path_that_it_had(bench: Bench) -> None:
    bench.pytester.makepyfile(test_gen=PLAIN_TEST.format(score=0.9))
    assert bench.run("--update-baselines", "test_gen.py", selection=None).ret == 0
    assert _files(bench) == ["test_gen/test_q/q.json"]


@pytest.mark.parametrize("source", [PARAMETERS, UNSPELLABLE, TWICE], ids=["parameters", "names", "twice"])
def test_checks_that_would_share_a_file_fail(bench: Bench, source: str) -> None:
    wrong = "*is checked twice in one test*" if source is TWICE else "*have the same baseline file *: rename one"
    bench.pytester.makepyfile(test_gen=source)
    result = bench.run("--update-baselines", "test_gen.py", selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([wrong])
    assert _files(bench) == []
    first = source.replace(', "a-b"]', "]") if source is PARAMETERS else source.rsplit("\n    ", 1)[0]
    bench.pytester.makepyfile(test_gen=first)
    assert bench.run("--update-baselines", "test_gen.py", selection=None).ret == 0
    bench.pytester.makepyfile(test_gen=source)
    result = bench.run("test_gen.py", selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([wrong])


@pytest.mark.parametrize("workers", [(), ("-n2", "--dist=loadfile")])
def test_files_of_one_name_in_two_folders_fail(bench: Bench, workers: tuple[str, ...]) -> None:
    for folder, score in (("a", 0.9), ("b", 0.5)):
        path = bench.root / folder / "test_gen.py"
        path.parent.mkdir()
        path.write_text(PLAIN_TEST.format(score=score))
    result = bench.run("--update-baselines", "--import-mode=importlib", "a", "b", *workers, selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "ERROR: a/test_gen.py::test_q 'q' and b/test_gen.py::test_q 'q' have the same baseline file "
            "baselines/test_gen/test_q/q.json: rename one"
        ]
    )
    assert _files(bench) == []


def test_a_baseline_of_another_test_is_not_compared_with(bench: Bench) -> None:
    """Workers do not see each other's checks, and without an option of this plugin nobody collects them."""
    for folder, score in (("a", 0.9), ("b", 0.5)):
        path = bench.root / folder / "test_gen.py"
        path.parent.mkdir()
        path.write_text(PLAIN_TEST.format(score=score))
    assert bench.run("--update-baselines", "b", selection=None).ret == 0
    result = bench.run("a", selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*was recorded by b/test_gen.py::test_q 'q': rename one of them*"])
    shutil.move(bench.root / "b" / "test_gen.py", bench.root / "c.py")
    assert bench.run("a", selection=None).ret == 0


def test_a_test_that_runs_again_is_no_other_check(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, nextitem=None, log=False)
            item._initrequest()
        """
    )
    bench.pytester.makepyfile(test_gen=PLAIN_TEST.format(score=0.9))
    assert bench.run("--update-baselines", "test_gen.py", selection=None).ret == 0
    assert bench.run("test_gen.py", selection=None).ret == 0


def test_a_fixture_of_a_manifest_may_check(bench: Bench) -> None:
    bench.pytester.makeconftest(
        "import pytest\n\n@pytest.fixture\ndef check(vidmetrics_baseline):\n    vidmetrics_baseline.check('x', 1.0)\n"
    )
    bench.manifest(MANIFEST.replace("metrics =", 'fixtures = ["check"]\nmetrics ='))
    bench.run("--update-baselines").assert_outcomes(passed=6)
    result = bench.run()
    assert {verdicts(result)[gate] for gate in ("common.psnr", "vbench.temporal_flickering")} == {"PASS"}
    assert len([line for line in result.outlines if line.endswith("PASS")]) == 8


def test_a_check_in_the_teardown_of_a_fixture_is_recorded(bench: Bench) -> None:
    bench.pytester.makepyfile(
        test_late="""
        import pytest

        @pytest.fixture
        def late(vidmetrics_baseline):
            yield
            vidmetrics_baseline.check("late", 1.0)

        def test_late(late):
            pass
        """
    )
    bench.run("test_late.py", "--update-baselines", selection=None).stdout.fnmatch_lines(["1 baseline written*"])
    assert bench.run("test_late.py", selection=None).ret == 0


def test_a_renamed_test_takes_its_baseline_along(bench: Bench) -> None:
    text = "def test_{}(vidmetrics_baseline):\n    vidmetrics_baseline.check('q', 1.0)\n"
    path = bench.root / "test_name.py"
    path.write_text(text.format("old"))
    bench.run("test_name.py", "--update-baselines", selection=None)
    path.write_text(text.format("new"))
    folder = bench.root / "baselines" / "test_name"
    (folder / "test_old").rename(folder / "test_new")
    bench.run("test_name.py", selection=None).stdout.fnmatch_lines(["*record it again with --update-baselines*"])
    bench.run("test_name.py", "--update-baselines", selection=None)
    assert bench.run("test_name.py", selection=None).ret == 0
