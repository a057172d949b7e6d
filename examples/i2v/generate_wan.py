"""Wan 2.1 image-to-video through its own ``generate.py``, for ``[case.NAME.method.wan]``.

The checkpoint and the script come from the environment: ``WAN_HOME`` (the repository) and ``WAN_CKPT`` (the folder of
the 14B 480P weights). The model is loaded once a clip: with many clips prefer ``generate_diffusers.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

DEFAULTS = {"steps": 20, "frames": 81, "width": 832, "height": 480, "guidance": 5.0, "shift": 3.0}
"""The guide's settings. Wan renders for 16 frames per second: say ``fps = 16`` in ``params``."""


def arguments(row: dict[str, Any], home: str, weights: str) -> list[str]:
    """Return the command for one request. Raises ``ValueError`` for a length that the model cannot make."""
    params = {**DEFAULTS, **row["params"]}
    if params["frames"] % 4 != 1:
        raise ValueError(f"Wan makes 4n + 1 frames, params.frames is {params['frames']}")
    if not row["image"]:
        raise ValueError(f"{row['id']}: image-to-video needs a starting frame (image or frame_path)")
    return [
        sys.executable,
        str(Path(home) / "generate.py"),
        *("--task", "i2v-14B"),
        *("--size", f"{params['width']}*{params['height']}"),  # an area: the clip keeps the shape of the image
        *("--frame_num", str(params["frames"])),
        *("--ckpt_dir", weights),
        *("--image", row["image"]),
        *("--prompt", row["prompt"]),
        *("--base_seed", str(row["seed"])),
        *("--sample_steps", str(params["steps"])),
        *("--sample_guide_scale", str(params["guidance"])),
        *("--sample_shift", str(params["shift"])),
        *("--save_file", row["output"]),
    ]


def main() -> None:
    """Run the command for every request; a clip that fails does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the folder of the outputs; each request names its file")
    args = parser.parse_args()
    failed = 0
    for line in args.requests.read_text(encoding="utf-8").splitlines():
        command = arguments(json.loads(line), os.environ["WAN_HOME"], os.environ["WAN_CKPT"])
        failed += subprocess.run(command, check=False).returncode != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
