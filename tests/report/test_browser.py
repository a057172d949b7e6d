"""The report in a real browser: exact frames, modes, keys, links, colours, and that nothing leaves the page."""

from __future__ import annotations

import io
import json
import os
import shutil
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.record import RunRecord
from pytest_vidmetrics.report.build import write_report
from tests.report.test_build import HOSTILE
from tests.support.browser import opened, why_not
from tests.support.run_records import gate, record

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(why_not()), reason=why_not())]

FRAMES = 12
HEIGHT, WIDTH = 64, 96


def coded(count: int = FRAMES, shift: int = 0) -> list[np.ndarray]:
    """Frames that say their number: each is one grey level, 16 levels from the next."""
    return [np.full((HEIGHT, WIDTH, 3), 24 + 16 * (i + shift), dtype=np.uint8) for i in range(count)]


def number_of(level: float) -> int:
    return round((level - 24) / 16)


def write(path: Path, frames: list[np.ndarray], codec: str, rate: Fraction, pix_fmt: str = "yuv420p", **options: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


KINDS = {
    "h264": ("h264.mp4", "libx264", Fraction(12), {}),
    "h264-b-frames": ("b.mp4", "libx264", Fraction(24000, 1001), {"bf": "3", "g": "12"}),
    "vp9": ("vp9.webm", "libvpx-vp9", Fraction(24000, 1001), {"deadline": "realtime", "cpu-used": "8"}),
    "av1": ("av1.mp4", "libsvtav1", Fraction(12), {"preset": "12", "crf": "20"}),
    "gif": ("gif.gif", "gif", Fraction(10), {}),
    "mpeg4": ("old.mp4", "mpeg4", Fraction(12), {"qscale": "2"}),
}


def made(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    """Write a coded clip of a kind and return its path below the folder."""
    if kind == "png":
        where = folder / "new" / "frames"
        where.mkdir(parents=True)
        for i, pixels in enumerate(coded()):
            Image.fromarray(pixels).save(where / f"{i:03d}.png")
        return "new/frames"
    name, codec, rate, options = KINDS[kind]
    os.environ.setdefault("SVT_LOG", "1")
    write(folder / "new" / name, coded(), codec, rate, "rgb8" if kind == "gif" else "yuv420p", **options)
    return f"new/{name}"


def report(folder: Path, files: dict[str, dict[str, str]], name: str = "run.html", details=None, **facts) -> Path:
    now = {clip: 30.0 - i for i, clip in enumerate(files)}
    psnr = gate("common.psnr", now, dict.fromkeys(files, 36.0))
    lot = {"status": "PASS", "harm": -0.00020909123, "margin": 0.00026926, "sees": 0.00045038, "n": 1600}
    wide = gate("vbench.temporal_flickering", dict.fromkeys(files, 0.958553), dict.fromkeys(files, 0.95855), **lot)
    write_report(folder / name, record([psnr, wide], files, **facts), folder, record_name="run.json", details=details)
    return folder / name


@pytest.fixture(scope="module")
def browser():
    with opened() as page:
        yield page


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two clips with a reference each: `same` is equal on both sides, `other` is one frame behind."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, shift in (("same", 0), ("other", 1)):
        write(folder / "new" / f"{name}.mp4", coded(), "libx264", Fraction(12), crf="10")
        write(folder / "ref" / f"{name}.mp4", coded(shift=shift), "libx264", Fraction(12), crf="10")
    files = {
        name: {"video": f"new/{name}.mp4", "reference": f"ref/{name}.mp4", "text_prompt": f"a {name} thing"}
        for name in ("other", "same")
    }
    kept = {"per_frame": [36.0 - (i == 7) for i in range(FRAMES)]}
    return report(folder, files, details=lambda *_: kept, checkpoint="step-7")


LEVEL = """
const video = document.querySelector(arguments[0] + ' video');
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 8;
const pencil = canvas.getContext('2d');
pencil.drawImage(video, 0, 0, 8, 8);
return pencil.getImageData(4, 4, 1, 1).data[1];
"""
SETTLED = """
const side = document.querySelector(arguments[0]);
const video = side.querySelector('video');
return video && !video.seeking && side.dataset.frame === String(arguments[1]);
"""


def shown(browser, side: str, frame: int) -> int:
    """Return the number that a side shows once it says that it shows ``frame``."""
    browser.wait(SETTLED, side, frame)
    return number_of(browser.run(LEVEL, side))


@pytest.mark.parametrize("kind", [*KINDS, "png"])
def test_every_frame_can_be_shown_exactly(browser, tmp_path, kind):
    path = report(tmp_path, {"clip": {"video": made(tmp_path, kind)}})
    browser.open(path)
    browser.wait("return document.querySelector('.a video')?.readyState >= 2")
    order = [0, 11, 5, 6, 4, 1, 10, 2, 9, 3, 8, 7]
    found = []
    for frame in order:
        browser.run("location.hash = arguments[0]", f"clip=clip&frame={frame}&mode=side")
        found.append(shown(browser, ".a", frame))
    assert found == order


def test_both_sides_show_one_frame_in_every_mode(browser, pairs):
    browser.open(pairs, "#clip=other&frame=3&mode=side")
    for key, mode in (("2", "wipe"), ("3", "difference"), ("4", "flicker"), ("1", "side")):
        browser.press(key)
        assert browser.find("#stage").get_attribute("data-mode") == mode
        browser.press(".")
        frame = int(browser.find("#scrub").get_attribute("value"))
        assert shown(browser, ".a", frame) == frame
        assert shown(browser, ".b", frame) == frame + 1
    # Moved by one frame, they are the same picture.
    browser.press("[")
    frame = int(browser.find("#scrub").get_attribute("value"))
    assert shown(browser, ".b", frame - 1) == frame == shown(browser, ".a", frame)


def pixels(element) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")).astype(int)


def test_the_difference_of_equal_clips_is_black_and_of_others_is_not(browser, pairs):
    levels = {}
    for name in ("same", "other"):
        browser.open(pairs, f"#clip={name}&frame=5&mode=difference&gain=16")
        browser.wait(SETTLED, ".a", 5)
        browser.wait(SETTLED, ".b", 5)
        inside = pixels(browser.find("#stage"))
        levels[name] = inside[inside.shape[0] // 4 : inside.shape[0] // 2, 40:-40]
    assert levels["same"].max() <= 2
    assert levels["other"].mean() > 200


def test_a_single_side_has_no_modes(browser, tmp_path):
    path = report(tmp_path, {"clip": {"video": made(tmp_path, "h264")}})
    browser.open(path, "#clip=clip&frame=2&mode=difference")
    assert shown(browser, ".a", 2) == 2
    browser.press("2", "3")
    assert browser.find("#stage").get_attribute("data-mode") == "side"
    assert not [button for button in browser.all("button[data-mode]") if button.is_displayed()]
    assert browser.find("#save").is_displayed()


def test_the_wipe_shows_one_side_left_and_the_other_right(browser, pairs):
    browser.open(pairs, "#clip=other&frame=2&mode=wipe&wipe=50")
    browser.wait(SETTLED, ".a", 2)
    browser.wait(SETTLED, ".b", 2)
    inside = pixels(browser.find("#stage"))
    row = inside[inside.shape[0] // 3]
    assert number_of(row[len(row) // 4].mean()) == 2
    assert number_of(row[3 * len(row) // 4].mean()) == 3


def test_flicker_switches_between_two_decoded_pictures(browser, pairs):
    browser.emulate(prefers_reduced_motion="reduce")
    browser.open(pairs, "#clip=other&frame=2&mode=flicker")
    browser.wait(SETTLED, ".b", 2)
    assert not browser.find("#auto-flip").is_selected()
    seen = []
    for _ in range(4):
        inside = pixels(browser.find("#stage"))
        seen.append(number_of(inside[inside.shape[0] // 3, inside.shape[1] // 2].mean()))
        browser.press("x")
    assert seen == [3, 2, 3, 2]
    browser.emulate(prefers_reduced_motion="no-preference")
    browser.open(pairs, "#clip=other&frame=2&mode=flicker")
    assert browser.wait("return document.getElementById('auto-flip').checked")
    browser.press("1")


def test_playing_keeps_both_sides_in_step_and_ends_paused(browser, pairs):
    browser.open(pairs, "#clip=same&frame=0")
    browser.wait(SETTLED, ".b", 0)
    browser.press(" ")
    browser.wait(
        "return document.getElementById('play').textContent === 'Play' && !document.querySelector('.a video').seeking"
        " && document.querySelector('.a').dataset.frame > 8"
    )
    browser.wait("return document.querySelector('.a').dataset.frame === document.querySelector('.b').dataset.frame")


def test_a_click_on_the_curve_shows_that_frame(browser, pairs):
    browser.open(pairs)
    worst = shown(browser, ".a", 7)
    assert worst == 7, "a clip opens at its worst frame"
    browser.run(
        "const box = document.querySelector('#curves svg').getBoundingClientRect();"
        "document.querySelector('#curves svg').dispatchEvent(new MouseEvent('click', {bubbles: true,"
        " clientX: box.left + box.width * 2.5 / 12, clientY: box.top + 5}))"
    )
    assert shown(browser, ".a", 2) == 2
    browser.press("w")
    assert shown(browser, ".a", 7) == 7


def test_the_address_holds_what_is_open(browser, pairs):
    browser.open(pairs, "#clip=same&frame=4&mode=wipe&wipe=30&offset=2")
    assert shown(browser, ".b", 6) == 6
    assert browser.find("#clip-title").text == "same"
    assert browser.find("#wipe").get_attribute("value") == "30"
    browser.press(".", "3")
    address = browser.run("return location.hash")
    assert address == "#clip=same&frame=5&mode=difference&offset=2&gain=4"
    browser.open(pairs, address)
    assert shown(browser, ".a", 5) == 5


def test_everything_works_without_a_mouse(browser, pairs):
    browser.open(pairs)
    browser.wait("return document.getElementById('clip-title').textContent")
    first = browser.find("#clip-title").text
    browser.press("j")
    assert browser.find("#clip-title").text != first
    browser.press("k")
    assert browser.find("#clip-title").text == first
    browser.press("?")
    assert browser.find("#keys").is_displayed()
    reached = set()
    for _ in range(60):
        browser.press("\ue004")
        reached.add(
            browser.run("const now = document.activeElement; return now.id || now.dataset.mode || now.className")
        )
    for name in (
        "find",
        "order",
        "wipe",
        "difference",
        "flicker",
        "play",
        "back",
        "forth",
        "scrub",
        "speed",
        "save",
        "accept",
    ):
        assert name in reached or name in ("wipe",), f"{name} cannot be reached with the tabulator"
    # What is typed into a field is no command.
    browser.find("#find").send_keys("other")
    assert [row.text.split("\n")[0] for row in browser.all("#rows button")] == ["other"]
    assert browser.find("#stage").get_attribute("data-mode") == "side"


def test_ticked_gates_become_one_command(browser, pairs):
    browser.open(pairs)
    assert not browser.find("#approve").is_displayed()
    browser.find("input.accept").click()
    command = browser.find("#accept-command").text
    assert command == "vidmetrics accept run.json bench/wan/t2v/common.psnr"
    assert browser.find("#update-command").text == (
        "pytest bench/wan.vidmetrics.toml::t2v::common.psnr --vidmetrics-checkpoint=step-7 --update-baselines"
    )


def test_a_clip_that_is_gone_says_so_and_sound_has_no_modes(browser, tmp_path):
    files = {"x": {"video": made(tmp_path, "h264"), "reference": "ref/gone.mp4"}}
    browser.open(report(tmp_path, files), "#clip=x&frame=1")
    assert shown(browser, ".a", 1) == 1
    assert browser.find(".b .picture").text == "the file is not there any more"
    for name in ("new", "ref"):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(16000)
            sound.writeframes((8000 * np.sin(np.arange(16000) / 5)).astype("<i2").tobytes())
    files = {"y": {"audio": "new.wav", "reference_audio": "ref.wav"}}
    browser.open(report(tmp_path, files), "#clip=y&mode=wipe")
    browser.wait("return document.querySelector('.a audio')?.readyState >= 2")
    assert browser.find("#stage").get_attribute("data-mode") == "side"
    shown_buttons = [button.text for button in browser.all("#stage-box button") if button.is_displayed()]
    assert shown_buttons == ["Play", "Keys"]
    assert len(browser.all("#sounds img")) == 2
    assert browser.complaints() == []


def test_methods_that_are_ranked_are_two_of_the_sides(browser, tmp_path):
    """The side that got worst against the reference, then any two of them; each with its own curves."""
    for name, shift in (("wan", 0), ("ltx", 2), ("ref", 1)):
        write(tmp_path / "new" / f"{name}.mp4", coded(shift=shift), "libx264", Fraction(12), crf="10")
    case = "b.toml::i2v"
    files = {
        f"{case}::{name}": {"x": {"video": f"new/{name}.mp4", "reference": "new/ref.mp4"}} for name in ("wan", "ltx")
    }
    gates = tuple(
        replace(gate("m", {"x": score}, {"x": 9.0}, case=f"{case}::{name}"), file=f"{name}.json")
        for name, score in (("wan", 8.0), ("ltx", 5.0))
    )
    ranked = RankReport(case, "m", (("rank",), ("1",)), {"methods": [{"method": "wan", "score": 8.0, "rank": 1}]})
    run = RunRecord(gates, cases=files, rankings=(ranked,))
    kept = {"per_frame": [float(i) for i in range(FRAMES)]}
    path = tmp_path / "r.html"
    write_report(path, run, tmp_path, record_name="r", details=lambda *_: kept)
    browser.open(path, "#clip=x&frame=3")
    assert (shown(browser, ".a", 3), shown(browser, ".b", 3)) == (5, 4)
    assert [box.get_attribute("value") for box in browser.all("#left, #right")] == ["ltx", "reference"]
    assert [title.text.split(",")[0] for title in browser.all("#curves h4")] == ["ltx::m"]
    browser.open(path, "#clip=x&frame=3&a=wan&b=ltx&mode=wipe")
    assert (shown(browser, ".a", 3), shown(browser, ".b", 3)) == (3, 5)
    assert len(browser.all("#curves h4")) == 2
    assert browser.complaints() == []


def test_a_taller_clip_on_the_right_covers_nothing_below(browser, tmp_path):
    files = {"x": {"video": made(tmp_path, "h264"), "reference": "ref/tall.mp4"}}
    (tmp_path / "ref").mkdir()
    with av.open(str(tmp_path / "ref" / "tall.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 64, 128, "yuv420p"
        for i in range(FRAMES):
            pixels = np.full((128, 64, 3), 24 + 16 * i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    browser.open(report(tmp_path, files), "#clip=x&frame=2&mode=wipe")
    assert shown(browser, ".b", 2) == 2
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    assert browser.run(bottom, ".b video") <= browser.run(bottom, "#stage") + 1


def test_no_request_leaves_the_page(browser, pairs):
    browser.open(pairs)
    shown(browser, ".a", 7)
    browser.press("4", "j", " ")
    asked = browser.requests()
    assert asked
    assert {address.partition(":")[0] for address in asked} <= {"file", "blob", "data"}
    assert [address for address in asked if address.startswith("file:")] == [pairs.as_uri()]
    assert browser.complaints() == []


def test_hostile_texts_do_nothing(browser, tmp_path):
    name = "a<b>&\"'`${1}" + 20 * "\U0001f408" + "\n" + 60 * "x"
    files = {name: {"video": made(tmp_path, "h264"), "text_prompt": HOSTILE}}
    path = report(tmp_path, files, checkpoint=HOSTILE)
    browser.open(path)
    shown(browser, ".a", 0)
    for place in ("#clip-title", "#rows .name"):
        assert browser.run("return document.querySelector(arguments[0]).textContent", place) == name
    assert browser.run("return document.getElementById('clip-prompt').textContent") == HOSTILE
    assert browser.run("return document.querySelectorAll('img, b, iframe, object').length") == 0
    assert browser.complaints() == []


def test_a_moved_folder_still_plays(browser, tmp_path):
    path = report(tmp_path, {"clip": {"video": made(tmp_path, "h264")}}, name="before")
    shutil.move(path, tmp_path / "after")
    browser.open(tmp_path / "after" / "index.html", "#clip=clip&frame=6")
    browser.wait(SETTLED, ".a", 6)
    inside = pixels(browser.find(".a video"))
    assert number_of(inside[inside.shape[0] // 2, inside.shape[1] // 2].mean()) == 6
    assert {address.partition(":")[0] for address in browser.requests()} == {"file"}
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_colours_and_widths(browser, pairs, scheme, width):
    browser.emulate(prefers_color_scheme=scheme)
    browser.resize(width, 900)
    try:
        browser.open(pairs)
        shown(browser, ".a", 7)
        back = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, back[4:-1].split(","))) > 380) is (scheme == "light")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        # No name is broken inside of a word.
        names = [row.rect["height"] for row in browser.all(".gates th[scope=row]")]
        assert max(names) < 1.6 * min(names)
    finally:
        browser.resize(1280, 1000)
        browser.emulate(prefers_color_scheme="light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, pairs, scheme):
    source = Path(os.environ.get("VIDMETRICS_AXE", "node_modules/axe-core/axe.min.js"))
    if not source.is_file():
        pytest.skip("axe-core is not installed: npm install axe-core")
    browser.emulate(prefers_color_scheme=scheme)
    try:
        browser.open(pairs)
        shown(browser, ".a", 7)
        browser.find("input.accept").click()
        browser.run(source.read_text("utf-8") + "; window.axe = axe;")
        found = browser.driver.execute_async_script(
            "const done = arguments[0]; window.axe.run().then((result) => done(JSON.stringify(result.violations)));"
        )
        serious = [one for one in json.loads(found) if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in serious] == []
    finally:
        browser.emulate(prefers_color_scheme="light")


def test_ten_thousand_clips_are_shown_within_two_seconds(browser, tmp_path):
    ids = [f"clip_{i:05d}" for i in range(10_000)]
    gates = [gate(f"m.{g}", dict.fromkeys(ids, 0.5), dict.fromkeys(ids, 0.625)) for g in range(10)]
    files = {id: {"video": f"clips/{id}.mp4", "text_prompt": f"a prompt for {id}"} for id in ids}
    write_report(tmp_path / "run.html", record(gates, files), tmp_path, record_name="run.json", budget_mib=0)
    painted = []
    for _ in range(3):  # the best of three: another process may be busy
        browser.open(tmp_path / "run.html")
        painted.append(browser.wait("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"))
    assert min(painted) < 2000
    assert browser.wait("return document.querySelectorAll('#rows li').length") == 100
    browser.find("#find").send_keys("clip_09999")
    assert len(browser.all("#rows li")) == 1


def test_clips_of_157_megabytes_fit_the_budget(browser, tmp_path):
    noise = np.random.default_rng(0)
    total = count = 0
    files = {}
    while total < 157e6:
        name = f"noise{count:02d}"
        path = tmp_path / "new" / f"{name}.avi"
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("rawvideo", rate=Fraction(12))
            stream.width, stream.height, stream.pix_fmt = 480, 272, "yuv420p"
            picture = noise.integers(0, 256, (272 * 3 // 2, 480), dtype=np.uint8)
            for i in range(80):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, 7 * i, axis=1), format="yuv420p")
                container.mux(stream.encode(frame))
        total += path.stat().st_size
        count += 1
        files[name] = {"video": f"new/{name}.avi"}
    path = report(tmp_path, files)
    assert path.stat().st_size < 25 * 2**20
    browser.open(path)
    said = browser.find("#clips .said").text
    assert f"of {count} clips can be played here" in said
    assert "budget 24 MiB" in said
    browser.wait("return document.querySelector('.a video')?.readyState >= 2")
    assert browser.complaints() == []
