"""Image-to-video pipelines of diffusers, for ``[case.NAME.method.…]``: the model is loaded once for all requests.

``--pipeline wan`` is ``WanImageToVideoPipeline``, ``--pipeline framepack`` ``HunyuanVideoFramepackPipeline``. Nothing
of diffusers is imported before a pipeline is built. Frames are written at their own size: diffusers' own
``export_to_video`` resizes to multiples of 16 without a word and writes 10 frames per second unless told.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, dict[str, Any]] = {
    "wan": {"steps": 20, "frames": 81, "width": 832, "height": 480, "guidance": 5.0, "fps": 16},
    "framepack": {"steps": 20, "frames": 81, "width": 832, "height": 480, "guidance": 9.0, "fps": 30},
}
"""The guide's settings, each with the rate that its model renders for."""

MODELS = {
    "wan": "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
    "framepack": "hunyuanvideo-community/HunyuanVideo",
}


def arguments(pipeline: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of one call, without the image and the random generator."""
    params = {**DEFAULTS[pipeline], **row["params"]}
    found = {
        "prompt": row["prompt"],
        "height": params["height"],
        "width": params["width"],
        "num_frames": params["frames"],
        "num_inference_steps": params["steps"],
        "guidance_scale": float(params["guidance"]),
        "output_type": "np",
    }
    if pipeline == "framepack":
        # The two published transformers were trained for one way of sampling each.
        found["sampling_type"] = params.get("sampling_type", "inverted_anti_drifting")
    return found


def build(pipeline: str, model: str) -> Any:
    """Return the pipeline on the GPU, in bfloat16."""
    import diffusers
    import torch
    import transformers

    if pipeline == "wan":
        made = diffusers.WanImageToVideoPipeline.from_pretrained(model, torch_dtype=torch.bfloat16)
        return made.to("cuda")
    transformer = diffusers.HunyuanVideoFramepackTransformer3DModel.from_pretrained(
        "lllyasviel/FramePackI2V_HY", torch_dtype=torch.bfloat16
    )
    encoder = transformers.SiglipVisionModel.from_pretrained(
        "lllyasviel/flux_redux_bfl", subfolder="image_encoder", torch_dtype=torch.float16
    )
    features = transformers.SiglipImageProcessor.from_pretrained(
        "lllyasviel/flux_redux_bfl", subfolder="feature_extractor"
    )
    made = diffusers.HunyuanVideoFramepackPipeline.from_pretrained(
        model, transformer=transformer, image_encoder=encoder, feature_extractor=features, torch_dtype=torch.float16
    )
    return made.to("cuda")


def write(path: str, frames: Any, fps: int) -> None:
    """Write ``(T, H, W, 3)`` floats in [0, 1] as H.264 at their own size."""
    import av
    import numpy as np

    pixels = np.clip(np.rint(np.asarray(frames) * 255), 0, 255).astype(np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "12"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    """Generate every request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="the folder of the outputs; each request names its file")
    parser.add_argument("--pipeline", choices=sorted(DEFAULTS), required=True)
    parser.add_argument("--model")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.requests.read_text(encoding="utf-8").splitlines()]
    pipeline = build(args.pipeline, args.model or MODELS[args.pipeline])
    import torch
    from PIL import Image

    for row in rows:
        seed = torch.Generator("cuda").manual_seed(row["seed"])
        image = Image.open(row["image"]).convert("RGB")
        frames = pipeline(image=image, generator=seed, **arguments(args.pipeline, row)).frames[0]
        write(row["output"], frames, {**DEFAULTS[args.pipeline], **row["params"]}["fps"])


if __name__ == "__main__":
    main()
