from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.gates.case import Location
from pytest_vidmetrics.gates.generation import Generations
from pytest_vidmetrics.gates.method import Method, Request, method_of, requests_of

# A generator in the form that the protocol asks for. What it does wrong is chosen by the prompt.
GENERATOR = """
import json, os, sys, time
import av, numpy as np

def write(path, frames, size, fps, level):
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), level, np.uint8)
            pixels[:, : 2 + i] //= 2
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())

requests, out = sys.argv[1:3]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "calls.txt"), "a") as calls:
    calls.write("start\\n")
for line in open(requests, encoding="utf-8"):
    row = json.loads(line)
    what, path, p = row["prompt"], row["output"], row["params"]
    print("working on", row["id"], flush=True)
    size, count, level = (p["width"], p["height"]), p["frames"], 120 + row["seed"]
    if what == "exit":
        sys.exit(3)
    if what == "hang":
        open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "hangs"), "w").close()
        time.sleep(600)
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "nothing":
        continue
    if what == "outside":
        path = os.path.join(out, "..", "elsewhere.mp4")
    if what == "size":
        size = (32, 32)
    if what == "short":
        count -= 2
    if what == "black":
        level = 0
    write(path, count, size, p["fps"] * (2 if what == "rate" else 1), level)
    if what == "two":
        write(path[:-4] + "_1.mp4", count, size, p["fps"], level)
    if what == "truncated":
        data = open(path, "rb").read()
        open(path, "wb").write(data[: len(data) // 2])
    if what == "link":
        os.rename(path, path + ".real")
        os.rename(path + ".real", os.path.join(out, "..", "real.mp4"))
        os.symlink(os.path.join(out, "..", "real.mp4"), path)
    if what == "kill parent":
        os.kill(os.getppid(), 9)
        time.sleep(600)
"""
PARAMS = {"frames": 6, "width": 64, "height": 48, "fps": 8}


@pytest.fixture
def where(tmp_path: Path) -> Location:
    (tmp_path / "gen.py").write_text(GENERATOR)
    return Location(tmp_path / "bench.vidmetrics.toml", 7)


def method(where: Location, **more: Any) -> Method:
    table = {"generate": [sys.executable, "gen.py", "{requests}", "{output}"], "params": PARAMS, "inputs": ["gen.py"]}
    return method_of("toy", {**table, **more}, lambda *_: where)


def requests(one: Method, *prompts: str) -> tuple[Request, ...]:
    return requests_of(one, [(f"s{i}", {"text_prompt": prompt}) for i, prompt in enumerate(prompts)])


def calls(where: Location) -> int:
    path = where.path.parent / "calls.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_clips_are_made_once_and_described(where: Location, tmp_path: Path) -> None:
    store, one = Generations(tmp_path / "made"), method(where, identity="toy@1", env=["LANG"])
    asked = requests(one, "a red ball", "../../\n'\"; $(x) \U0001f408")
    made = store.ensure(one, asked)
    assert [found.problem for found in made] == ["", ""]
    row = store.provenance(asked[1])
    assert (row["prompt"], row["seed"], row["identity"], row["params"]) == (asked[1].prompt, 0, "toy@1", PARAMS)
    assert row["seconds"] > 0
    assert set(row["env"]) == {"LANG"}
    assert store.ensure(one, asked) == made
    assert calls(where) == 1
    assert not (tmp_path / "made" / "work").joinpath("x").exists()
    assert [p.name for p in (tmp_path / "made" / "work").iterdir() if p.suffix != ".lock"] == []


def test_a_changed_prompt_is_one_clip_and_changed_params_are_all(where: Location, tmp_path: Path) -> None:
    store, one = Generations(tmp_path / "made"), method(where)
    before = {found.path for found in store.ensure(one, requests(one, "a", "b", "c"))}
    after = {found.path for found in store.ensure(one, requests(one, "a", "B", "c"))}
    assert len(after - before) == 1
    other = method(where, params={**PARAMS, "steps": 20})
    assert not {found.path for found in store.look(other, requests(other, "a", "b", "c"))} & (before | after)
    (where.path.parent / "gen.py").write_text(GENERATOR + "# another version\n")
    assert not {one.key for one in requests(one, "a")} & {path.stem for path in before}


def test_seeds_are_clips_of_their_own(where: Location, tmp_path: Path) -> None:
    one = method(where, seeds=[0, 1, 2])
    made = Generations(tmp_path / "made").ensure(one, requests(one, "a"))
    assert [found.request.seed for found in made] == [0, 1, 2]
    assert len({found.path.read_bytes() for found in made}) == 3


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nothing", "wrote no"),
        ("outside", "wrote no"),
        ("size", "32 width, the method says params.width = 64"),
        ("short", "4 frames, the method says params.frames = 6"),
        ("rate", "16 frames per second, the method says params.fps = 8"),
        ("black", "every frame is black"),
        ("two", "for one request"),
        ("truncated", "the file is truncated"),
        ("link", "is a link"),
    ],
)
def test_a_bad_output_is_named_and_the_others_are_kept(what: str, text: str, where: Location, tmp_path: Path) -> None:
    store, one = Generations(tmp_path / "made"), method(where)
    made = store.ensure(one, requests(one, "fine", what, "fine too"))
    assert [found.exists for found in made] == [True, False, True]
    assert text in made[1].problem
    assert "working on s1" in made[1].problem
    assert not made[1].path.exists()
    assert store.look(one, [made[1].request])[0].problem == made[1].problem


def test_an_array_that_is_no_clip_is_named_and_the_others_are_kept(where: Location, tmp_path: Path) -> None:
    (tmp_path / "gen.py").write_text(
        "import json, sys, numpy as np\n"
        "for line in open(sys.argv[1], encoding='utf-8'):\n"
        "    row = json.loads(line)\n"
        "    p = row['params']\n"
        "    clip = np.full((p['frames'], p['height'], p['width'], 3), 0.5, np.float32)\n"
        "    clip[:, :8, : 2 + len(row['id'])] = 0.25\n"
        "    clip[2, 3, 4] = float('nan') if row['prompt'] == 'NaN' else 0.5\n"
        "    np.savez(row['output'], video=clip[:4] if row['prompt'] == 'short' else clip)\n"
    )
    rateless = {key: value for key, value in PARAMS.items() if key != "fps"}
    store, one = Generations(tmp_path / "made"), method(where, suffix=".npz", params=rateless)
    made = store.ensure(one, requests(one, "fine", "NaN", "short"))
    assert [found.exists for found in made] == [True, False, False]
    assert "the array has values from nan" in made[1].problem
    assert "4 frames, the method says params.frames = 6" in made[2].problem
    assert not made[1].path.exists()


@pytest.mark.parametrize(
    ("what", "text"),
    [("exit", "ended with exit status 3"), ("die", "was killed by SIGKILL"), ("hang", "longer than timeout_s = 600")],
)
def test_a_command_that_fails_keeps_what_it_finished(
    what: str, text: str, where: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait

    def is_over_once_it_hangs(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if what != "hang" or timeout != 600.0:
            return wait(process, timeout)
        while not (tmp_path / "hangs").exists():
            time.sleep(0.01)
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", is_over_once_it_hangs)
    store, one = Generations(tmp_path / "made"), method(where, timeout_s=600.0)
    made = store.ensure(one, requests(one, "fine", what, "never reached"))
    assert [found.exists for found in made] == [True, False, False]
    assert text in made[2].problem
    assert "working on s1" in made[2].problem


def test_failures_are_tried_again_and_only_they(where: Location, tmp_path: Path) -> None:
    store, one = Generations(tmp_path / "made"), method(where, retries=2)
    store.ensure(one, requests(one, "fine", "nothing"))
    assert calls(where) == 3
    row = store.provenance(requests(one, "fine")[0])
    assert row is not None


def test_a_command_that_is_not_there_is_named(where: Location, tmp_path: Path) -> None:
    one = method(where, generate=["no-such-program-here", "{requests}", "{output}"])
    made = Generations(tmp_path / "made").ensure(one, requests(one, "a"))
    assert "no-such-program-here" in made[0].problem
    assert "cannot be started" in made[0].problem


def test_a_run_that_was_killed_goes_on_where_it_was(where: Location, tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        from pytest_vidmetrics.gates.case import Location
        from tests.gates.test_generation import method, requests, Generations
        one = method(Location(Path({str(where.path)!r}), 7))
        Generations(Path({str(tmp_path / "made")!r})).ensure(one, requests(one, "a", "b", "kill parent", "d"))
        """
    )
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert dead.returncode == -signal.SIGKILL
    one = method(where)
    store = Generations(tmp_path / "made")
    asked = requests(one, "a", "b", "kill parent", "d")
    assert not any(found.exists for found in store.look(one, asked))
    orphan = int(next((tmp_path / "made" / "work").glob("*/pid")).read_text())
    assert Path(f"/proc/{orphan}").exists()
    started = time.monotonic()
    made = store.ensure(replace(one, timeout_s=300.0), asked)
    # Three were whole before the kill; the command was started again for the fourth alone.
    assert [found.exists for found in made] == [True, True, True, True]
    assert calls(where) == 2
    assert time.monotonic() - started < 300, "it waited for the orphan, which sleeps twice as long"
    assert b"gen.py" not in _command(orphan)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_clip_that_lost_bytes_is_made_again(where: Location, tmp_path: Path) -> None:
    store, one = Generations(tmp_path / "made"), method(where)
    found = store.ensure(one, requests(one, "a"))[0]
    found.path.write_bytes(found.path.read_bytes()[:-5])
    assert not store.look(one, [found.request])[0].exists
    assert store.ensure(one, [found.request])[0].exists
    assert calls(where) == 2


def test_requests_hold_what_a_generator_needs(where: Location, tmp_path: Path) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(b"not looked at")
    one = method(where, seeds=[5])
    found = requests_of(one, [("x", {"text_prompt": "p", "image_path": str(image)})])[0]
    assert found.row(one.params, Path("/out")) == {
        "id": "x",
        "prompt": "p",
        "image": str(image),
        "seed": 5,
        "params": PARAMS,
        "output": f"/out/{found.output}",
    }
    image.write_bytes(b"another picture")
    assert requests_of(one, [("x", {"text_prompt": "p", "image_path": str(image)})])[0].key != found.key
    json.dumps(found.row(one.params, Path("/out")))
    with pytest.raises(ManifestError, match=r"bench.vidmetrics.toml:7: x: cannot read the image"):
        requests_of(one, [("x", {"image_path": str(tmp_path / "gone.png")})])


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, "either generate"),
        ({"generate": ["x", "{requests}", "{output}"], "video": "y"}, "either generate"),
        ({"generate": "x {requests} {output}"}, "list of texts"),
        ({"generate": ["x", "{output}"]}, "needs {requests}"),
        ({"generate": ["x", "{requests}", "{output}", "{seed}"]}, "unknown placeholder {seed}"),
        ({"video": "y", "seeds": [1, 1]}, "twice"),
        ({"video": "y", "seeds": [True]}, "whole numbers"),
        ({"video": "y", "params": {"frames": 0}}, "params.frames"),
        ({"video": "y", "params": {"fps": float("nan")}}, "params.fps"),
        ({"video": "y", "timeout_s": 0}, "timeout_s"),
        ({"video": "y", "retries": -1}, "retries"),
        ({"video": "y", "suffix": "/../x"}, "suffix"),
        ({"video": "y", "sed": [1]}, "did you mean 'seeds'"),
        ({"video": "y", "params": {"when": object()}}, "JSON"),
        (3, "must be a table"),
    ],
)
def test_a_wrong_table_is_an_error_with_its_line(table: Any, text: str, where: Location) -> None:
    with pytest.raises(ManifestError) as caught:
        method_of("toy", table, lambda *_: where)
    assert str(caught.value).startswith(f"{where.path}:7: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "nul", "x."])
def test_a_name_that_is_a_path_is_refused(name: str, where: Location) -> None:
    with pytest.raises(ManifestError, match="method name"):
        method_of(name, {"video": "y"}, lambda *_: where)
