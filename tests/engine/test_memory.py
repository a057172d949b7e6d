from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "loading.py"


def test_scoring_many_clips_takes_the_memory_of_a_few(tmp_path: Path) -> None:
    """Frames that are kept after use grow by 7 MB per clip here: 40 clips would add 230 MB."""
    peaks = {}
    for count in (8, 40):
        command = [sys.executable, str(BENCHMARK), "--clips", str(count), "--folder", str(tmp_path), "--json"]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[count] = json.loads(found.stdout)["peak_rss_mb"]
    assert peaks[40] <= 1.3 * peaks[8]
