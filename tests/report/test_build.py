"""Reports on disk: what is inside, what stays text, what is left out, and that nothing is ever half written."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.scores import Problem
from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.record import RunRecord, write_record
from pytest_vidmetrics.report import build, page
from pytest_vidmetrics.report.build import write_report
from tests.support.media_clips import gray_ramp, write_video
from tests.support.run_records import CASE, gate, record


class Read(HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] = self.scripts[-1][0], self.scripts[-1][1] + data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            self.text += data

    @property
    def data(self):
        return next(json.loads(body) for attributes, body in self.scripts if attributes.get("id") == "run")

    @property
    def policy(self):
        return next(a["content"] for tag, a in self.tags if a.get("http-equiv") == "Content-Security-Policy")


def clips(
    folder: Path, names: str = "pq", size: tuple[int, int] = (48, 64), frames: int = 6
) -> dict[str, dict[str, str]]:
    """Write a candidate and a reference per name."""
    found = {}
    for name in names:
        for side in ("new", "ref"):
            (folder / side).mkdir(exist_ok=True)
            write_video(folder / side / f"{name}.mp4", gray_ramp(frames, *size))
        found[name] = {"video": f"new/{name}.mp4", "reference": f"ref/{name}.mp4", "text_prompt": f"prompt of {name}"}
    return found


def a_record(files, **facts):
    now = {name: 30.0 - i for i, name in enumerate(files)}
    return record([gate("common.psnr", now, dict.fromkeys(files, 36.0))], files, **facts)


def written(tmp_path, run, name="run.html", **options) -> Read:
    write_report(tmp_path / name, run, tmp_path, record_name="run.json", **options)
    index = tmp_path / name
    return Read((index if index.is_file() else index / "index.html").read_text("utf-8"))


def test_one_file_holds_verdicts_clips_and_media(tmp_path):
    run = a_record(clips(tmp_path), checkpoint="step-2000", commit="3f2a")
    found = written(tmp_path, run)
    assert "REGRESSED" in found.text
    assert "regressed because of a test" in found.text
    assert "step-2000" in found.text
    assert "2 of 2 clips can be played here" in found.text
    data = found.data
    assert [clip[0] for clip in data["clips"]] == ["q", "p"]
    assert data["clips"][0][2] == "prompt of q"
    assert data["gates"][0]["unit"] == "dB"
    entries = data["media"]["0"]
    assert entries["candidate"]["kind"] == "video"
    assert entries["candidate"]["note"] == "the original file"
    parts = {a["id"]: base64.b64decode(body) for a, body in found.scripts if a.get("data-mime")}
    assert parts[entries["candidate"]["src"]] == (tmp_path / "new" / "q.mp4").read_bytes()
    assert parts[entries["reference"]["src"]] == (tmp_path / "ref" / "q.mp4").read_bytes()


def test_nothing_is_asked_of_another_place(tmp_path):
    found = written(tmp_path, a_record(clips(tmp_path)))
    assert not [
        a for tag, a in found.tags if a.get("src") or (tag == "link") or (tag == "a" and not a["href"].startswith("#"))
    ]
    policy = found.policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in (("script", next(b for a, b in found.scripts if not a)), ("style", found.styles[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    script = "".join(body for attributes, body in found.scripts if not attributes)
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write|fetch\(|XMLHttp", script)


HOSTILE = '</script><img src=x onerror="alert(1)"><!-- \u2028 ]]> {{ 7*7 }} {% x %}'


def test_hostile_names_and_prompts_stay_text(tmp_path):
    name = "a</script><b>&\"'"
    files = {name: {"video": f"new/{name}.mp4", "text_prompt": HOSTILE}}
    run = record(
        [gate("common.psnr", {name: 1.0}, {name: 2.0}, notes=(HOSTILE,), case=f"x{HOSTILE}::c")],
        files,
        case=f"x{HOSTILE}::c",
        checkpoint=HOSTILE,
        device=HOSTILE,
    )
    found = written(tmp_path, run)
    assert not [tag for tag, _ in found.tags if tag in ("img", "b")]
    assert found.data["clips"][0][:3:2] == [name, HOSTILE]
    assert HOSTILE in found.text
    assert [attributes.get("id", "") for attributes, _ in found.scripts] == ["record", "run", ""]


def test_the_budget_keeps_the_worst_and_says_what_is_left_out(tmp_path):
    files = clips(tmp_path, "abcdefgh", (240, 320), 12)
    for name in files:  # noise does not compress: each file is large
        (tmp_path / "new" / f"{name}.mp4").write_bytes((tmp_path / "new" / f"{name}.mp4").read_bytes())
    whole = written(tmp_path, a_record(files), "whole.html")
    size = (tmp_path / "whole.html").stat().st_size
    media = sum(len(body) for a, body in whole.scripts if a.get("data-mime"))
    found = written(tmp_path, a_record(files), "small.html", budget_mib=media / 3 / 2**20)
    assert (tmp_path / "small.html").stat().st_size < size - media / 2
    kinds = [found.data["media"].get(str(i), {}).get("candidate", {}).get("kind") for i in range(8)]
    played = kinds.index("still") if "still" in kinds else kinds.index(None)
    assert 1 <= played <= 3
    assert kinds[:played] == ["video"] * played
    assert f"{played} of 8 clips can be played here" in found.text
    assert ("have a still" in found.text) or ("have their numbers only" in found.text)
    nothing = written(tmp_path, a_record(files), "none.html", budget_mib=0)
    assert nothing.data["media"] == {}
    assert "0 of 8 clips can be played here, 8 have their numbers only" in nothing.text


def test_originals_that_browsers_cannot_play_are_encoded_on_both_sides(tmp_path):
    files = clips(tmp_path, "p")
    write_video(tmp_path / "new" / "p.mp4", gray_ramp(6), codec="mpeg4")
    entries = written(tmp_path, a_record(files)).data["media"]["0"]
    assert [entries[side]["note"] for side in ("candidate", "reference")] == ["preview: 64 x 48, H.264 crf 23"] * 2


def test_a_clip_that_is_gone_or_broken_is_said_beside_the_others(tmp_path):
    files = clips(tmp_path, "pqr")
    (tmp_path / "new" / "q.mp4").unlink()
    (tmp_path / "new" / "r.mp4").write_bytes(b"no video")
    found = written(tmp_path, a_record(files))
    media = {found.data["clips"][int(i)][0]: entries for i, entries in found.data["media"].items()}
    assert media["p"]["candidate"]["kind"] == "video"
    assert media["q"]["candidate"] == {"kind": "none", "path": "new/q.mp4", "note": "the file is not there any more"}
    assert media["q"]["reference"]["kind"] == "video"
    assert media["r"]["candidate"]["note"].startswith("not a media file")


def test_gates_without_a_verdict_are_grouped_by_reason(tmp_path):
    lost = [Problem("x", "unavailable", "no weights")]
    run = record([gate(name, {}, {}, status="UNAVAILABLE", problems=lost) for name in ("a.one", "a.two")])
    found = written(tmp_path, run)
    assert found.text.count("unavailable because of a test") == 1
    assert "2 gates" in found.text


def test_curves_come_from_what_the_store_kept(tmp_path):
    run = a_record(clips(tmp_path, "p"))
    kept = {
        "per_frame": [30.0, 31.5, float("nan"), 33.123456, 34.0, 35.0],
        "to_previous": [1, 2, 3, 4, 5],
        "pair_differences": [9.0, 8.0],
        "other": [1.0] * 9,
        "captions": ["a"] * 6,
    }
    asked = []

    def details(one, clip):
        asked.append((one.gate, clip))
        return kept

    found = written(tmp_path, run, details=details).data["curves"]["0"]
    assert asked == [(f"{CASE}::common.psnr", "p")]
    curve = {"gate": 0, "high_is_bad": None}
    assert found == [
        {**curve, "name": "each frame", "frames": [*range(6)], "values": [30.0, 31.5, None, 33.123, 34.0, 35.0]},
        {**curve, "name": "to previous", "frames": [1, 2, 3, 4, 5], "values": [1.0, 2.0, 3.0, 4.0, 5.0]},
        {**curve, "name": "pair differences", "frames": [1, 3], "high_is_bad": True, "values": [9.0, 8.0]},
    ]


def test_curves_of_a_method_are_those_of_its_own_clip(tmp_path):
    files = clips(tmp_path, "pq")
    cases = {"b::i2v::p": {"x": files["p"]}, "b::i2v::q": {"x": files["q"]}}
    gates = tuple(gate("m", {"x": 1.0}, {"x": 2.0}, case=case) for case in cases)
    run = RunRecord(gates, cases=cases, rankings=(RankReport("b::i2v", "m", reason="too few"),))
    found = written(tmp_path, run, details=lambda one, _: {"per_frame": [float("p::m" in one.gate)] * 6}).data
    assert found["sides"] == ["p", "q", "reference"]
    assert [(one["gate"], one["values"][0]) for one in found["curves"]["0"]] == [(0, 1.0), (1, 0.0)]
    assert [one["side"] for one in found["gates"]] == ["p", "q"]
    assert len(found["media"]["0"]) == 3


def test_names_may_break_behind_their_signs_and_long_words_anywhere(tmp_path):
    label = f"vbench.temporal_flickering{'x' * 60}"
    write_report(tmp_path / "r.html", record([gate(label, {"x": 1.0}, {})]), tmp_path, record_name="r")
    text = (tmp_path / "r.html").read_text("utf-8")
    shown = re.search(r'<th scope="row">(.*?)</th>', text)
    assert shown is not None
    assert shown[1].startswith("vbench.<wbr>temporal_<wbr>flickeringxxxx")
    assert shown[1].replace("<wbr>", "") == label
    assert max(map(len, shown[1].split("<wbr>"))) <= 24
    # What other scripts draw together, as an emoji of several signs, stays together.
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 9
    write_report(tmp_path / "r.html", record([gate(family, {"x": 1.0}, {})]), tmp_path, record_name="r")
    assert f'<th scope="row">{family}</th>' in (tmp_path / "r.html").read_text("utf-8")


def test_a_folder_has_relative_links_and_can_be_moved(tmp_path):
    files = clips(tmp_path)
    found = written(tmp_path, a_record(files), "report")
    sources = [entry["src"] for entries in found.data["media"].values() for entry in entries.values()]
    assert len(sources) == 4
    shutil.move(tmp_path / "report", tmp_path / "moved")
    for source in sources:
        assert not source.startswith(("/", "http", "file"))
        assert (tmp_path / "moved" / source).stat().st_size > 0
    assert "media-src data: blob: 'self' file:" in found.policy
    # A second report takes the place of the first, and of nothing else.
    written(tmp_path, a_record({"p": files["p"]}), "moved")
    assert len(list((tmp_path / "moved" / "media").iterdir())) == 2


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(VidmetricsError, match="holds other files than a report"):
        write_report(tmp_path / "mine", record([]), tmp_path, record_name="r")
    (tmp_path / "plain").write_text("")
    with pytest.raises(VidmetricsError, match="is a file"):
        write_report(tmp_path / "plain", record([]), tmp_path, record_name="r")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["run.html", "folder"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, name):
    files = clips(tmp_path, "p")
    written(tmp_path, a_record(files, checkpoint="before"), name)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr("pytest_vidmetrics.core.files.tempfile.mkstemp", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path / name, a_record(files), tmp_path, record_name="r")
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    index = tmp_path / name if name.endswith("html") else tmp_path / name / "index.html"
    assert "before" in index.read_text()


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_ten_thousand_clips_with_ten_gates_stay_below_ten_megabytes(tmp_path, count):
    ids = [f"a_prompt_of_usual_length_{i:05d}" for i in range(count)]
    gates = [
        gate(
            f"vbench.metric_{g}",
            {id: 0.9 - (i * g % 97) / 1000 for i, id in enumerate(ids)},
            dict.fromkeys(ids, 0.912345),
        )
        for g in range(10)
    ]
    files = {
        id: {"video": f"clips/new/{id}.mp4", "text_prompt": f"a prompt of usual length, number {id}"} for id in ids
    }
    started = time.process_time()
    found = written(tmp_path, record(gates, files), budget_mib=0)
    assert (tmp_path / "run.html").stat().st_size < min(10e6, 100e3 + 1000 * count)
    assert time.process_time() - started < 20
    assert len(found.data["clips"]) == count


def test_building_a_report_imports_no_torch(tmp_path):
    write_record(tmp_path / "run.json", a_record(clips(tmp_path)), tmp_path)
    code = (
        "import sys; from pathlib import Path; from pytest_vidmetrics.gates.record import read_record; "
        "from pytest_vidmetrics.report.build import write_report; "
        "write_report(Path('run.html'), read_record(Path('run.json')), Path(), record_name='run.json'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "run.html").exists()


def test_scripts_and_styles_are_tidy():
    folder = Path(page.__file__).parent / "static"
    files = sorted(folder.iterdir())
    assert {path.name for path in files} == {*page.SCRIPTS, *page.STYLES}
    for path in files:
        text = path.read_text("utf-8")
        assert text.endswith("\n")
        assert not re.search(r"[ \t]\n|\t", text), path.name
        assert max(map(len, text.split("\n"))) <= 120, path.name
        if path.suffix == ".js":
            assert text.startswith('"use strict";\n//'), path.name
            assert not re.search(r"\b(var|console)\b|==(?!=)(?<!===)(?<!!==)", text), path.name
    if node := shutil.which("node"):
        for path in files:
            if path.suffix == ".js":
                subprocess.run([node, "--check", str(path)], check=True)


def test_the_budget_of_a_report_has_one_default():
    assert build.BUDGET_MIB == 24.0
