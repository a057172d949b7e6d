"""A case with methods: rows, pictures, references, and a generator whose faults are chosen by the prompt."""

from __future__ import annotations

import json
import sys
from pathlib import Path

GENERATOR = """
import json, os, signal, sys, time
import av, numpy as np

requests, out = sys.argv[1:3]

def write(path, frames, p):
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=p["fps"])
        stream.width, stream.height, stream.pix_fmt = p["width"], p["height"], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())

rows = [json.loads(line) for line in open(requests, encoding="utf-8")]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls.txt"), "a") as calls:
    calls.write(" ".join(row["id"] + "#" + str(row["seed"]) for row in rows) + "\\n")
for number, row in enumerate(rows):
    what, p = row["prompt"], row["params"]
    print("working on", row["id"], flush=True)
    if what == "exit":
        sys.exit(1)
    if what == "die halfway":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        time.sleep(600)
    if what == "interrupt" and not os.path.exists("interrupted"):
        open("interrupted", "w").close()
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(600)
    if what == "kill parent" and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if what == "nothing":
        continue
    seed = sum(map(ord, what)) * 100 + row["seed"]
    rng = np.random.Generator(np.random.PCG64(seed))
    ys, xs = np.meshgrid(np.arange(p["height"]), np.arange(p["width"]), indexing="ij")
    level = rng.uniform(90, 160)
    frames = []
    for t in range(p["frames"]):
        wave = level + 60 * np.sin((xs + t * rng.uniform(0.9, 1.1)) / 5) * np.cos(ys / 7)
        wave = wave + rng.normal(0, p.get("noise", 1.0), wave.shape)
        frames.append(np.repeat(np.clip(wave, 0, 255)[..., None], 3, axis=2).astype(np.uint8))
    path = row["output"]
    if what == "black":
        frames = [f * 0 for f in frames]
    if what == "wrong size":
        p = {**p, "width": 32, "height": 32}
        frames = [f[:32, :32].copy() for f in frames]
    if what == "outside":
        path = os.path.join(out, "..", "elsewhere.mp4")
    if what == "NaN npz":
        np.savez(path[:-4] + ".npz", np.full((p["frames"], p["height"], p["width"], 3), np.nan, np.float32))
        continue
    write(path, frames, p)
    if what == "two":
        write(path[:-4] + "_b.mp4", frames, p)
    if what == "truncated":
        data = open(path, "rb").read()
        open(path, "wb").write(data[: len(data) // 2])
"""

PROMPTS = ("waves", "clouds", "grass", "sand")


def manifest(*methods: str, head: str = "", metrics: str = '["vbench.temporal_flickering"]') -> str:
    """Return a manifest whose case has these method tables: the lines behind ``generate`` and ``params``."""
    command = json.dumps([sys.executable, "gen.py", "{requests}", "{output}"])
    tables = [
        f"[case.i2v.method.{name}]\ngenerate = {command}\ninputs = ['gen.py']\n{rest}"
        for name, _, rest in (text.partition(":") for text in methods)
    ]
    return f"schema = 1\n[case.i2v]\nsamples = 'rows.jsonl'\nmetrics = {metrics}\n{head}\n" + "\n".join(tables)


def params(**more: object) -> str:
    """Return a ``params`` line of small clips."""
    found = {"frames": 6, "width": 64, "height": 48, "fps": 8, **more}
    return f"params = {{ {', '.join(f'{key} = {value}' for key, value in found.items())} }}\n"


def write_rows(folder: Path, prompts: tuple[str, ...] = PROMPTS) -> None:
    """Write ``rows.jsonl`` and the generator."""
    lines = [json.dumps({"id": f"p{i}", "text_prompt": prompt}) for i, prompt in enumerate(prompts)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "gen.py").write_text(GENERATOR, encoding="utf-8")


def calls(folder: Path) -> list[list[str]]:
    """Return what each start of the generator was asked for."""
    path = folder / "calls.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []
