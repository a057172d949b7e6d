"""FastVideo's Python interface, for ``[case.NAME.method.…]``: the model is loaded once for all requests."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DEFAULTS = {"steps": 20, "frames": 81, "width": 832, "height": 480, "guidance": 5.0, "fps": 16}
MODEL = "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers"


def sampling(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ``SamplingParam`` for one request."""
    params = {**DEFAULTS, **row["params"]}
    return {
        "image_path": row["image"],
        "num_frames": params["frames"],
        "height": params["height"],
        "width": params["width"],
        "fps": params["fps"],
        "num_inference_steps": params["steps"],
        "guidance_scale": float(params["guidance"]),
        "seed": row["seed"],
    }


def main() -> None:
    """Generate every request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the folder of the outputs; each request names its file")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--num-gpus", type=int, default=1)
    args = parser.parse_args()
    from fastvideo import SamplingParam, VideoGenerator

    generator = VideoGenerator.from_pretrained(args.model, num_gpus=args.num_gpus)
    for line in args.requests.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        chosen = SamplingParam.from_pretrained(args.model)
        for key, value in sampling(row).items():
            setattr(chosen, key, value)
        generator.generate_video(row["prompt"], sampling_param=chosen, output_path=row["output"], save_video=True)


if __name__ == "__main__":
    main()
