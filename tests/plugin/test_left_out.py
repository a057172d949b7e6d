"""What lies beside the clips of a case and is not scored is said with the verdict."""

from __future__ import annotations

from tests.plugin.conftest import MANIFEST, Bench


def test_files_that_are_left_out_of_a_folder_are_notes_of_the_gate(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("clips/{checkpoint}/*.mp4", "clips/{checkpoint}"))
    bench.record()
    (bench.root / "clips" / "candidate" / "preview.png").touch()
    (bench.root / "clips" / "candidate" / "._a.mp4").touch()
    result = bench.run()
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*preview.png is left out: a picture beside .mp4 clips*"])
    assert "._a.mp4" not in result.stdout.str()
