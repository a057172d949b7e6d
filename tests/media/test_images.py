from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from PIL import Image

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import gray_ramp


def save(folder, names, frames=None):
    folder.mkdir(exist_ok=True)
    for name, pixels in zip(names, frames or gray_ramp(len(names)), strict=True):
        Image.fromarray(pixels).save(folder / name)
    return folder


def test_folders_are_read_in_natural_order(tmp_path):
    names = ["f1.png", "f2.png", "f10.png", "F11.png", "f100.png"]
    folder = save(tmp_path / "frames", names)
    (folder / "notes.txt").write_text("ignored")
    (folder / ".f3.png").write_text("ignored")
    clip = read_clip(folder)
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), np.stack(gray_ramp(5)))
    assert (clip.total, clip.fps, clip.frames.dtype) == (5, None, torch.uint8)
    part = read_clip(folder, FrameRequest(2), extra=[FrameRequest(1, "first")])
    assert part.indices == (0, 4)
    assert torch.equal(part.frames, clip.frames[[0, 4]])
    info = probe(folder)
    assert (info.frames, info.width, info.height, info.has_audio) == (5, 64, 48, False)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ((0, 1, 3), "number 2 is missing"),
        ((*range(8), *range(9, 20)), "number 8 is missing"),
        ((7, 8, 9, 12, 13), "the numbers 10 to 11 are missing"),
    ],
)
@pytest.mark.parametrize("pattern", ["frame_{:03}.png", "{}.png", "clip2_f{:02}_rgb.png"])
def test_a_lost_frame_is_named(tmp_path, numbers, missing, pattern):
    folder = save(tmp_path / "frames", [pattern.format(number) for number in numbers])
    for read in (read_clip, probe):
        with pytest.raises(MediaError, match=rf"frames: {missing}; the other images are numbered without a gap"):
            read(folder)


@pytest.mark.parametrize(
    "names",
    [
        ["f0", "f2"],
        ["f0", "f10", "f20", "f30"],
        ["f1", "f2", "f10"],
        ["f1", "f2", "f4", "f5", "f7"],
        ["f1", "f01", "f2"],
        ["a1", "a2", "b4"],
        ["s1_f1", "s1_f2", "s2_f4"],
        ["1_1", "2_2", "4_4"],
        ["first", "middle", "last"],
        ["f1", "f2", "f3", "f4"],
    ],
    ids="-".join,
)
def test_names_that_do_not_count_by_one_have_no_hole(tmp_path, names):
    assert read_clip(save(tmp_path / "frames", [f"{name}.png" for name in names])).total == len(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0.png", "1.png", "2.png", "2.jpg", "3.png"], r"2\.\w+ and 2\.\w+ are one frame"),
        (["0.png", "1.png", "2.png", "3.png", "preview.png"], r"preview\.png: not in the series of 0\.png"),
        (["0.png", "1.png", "2.png", "3.png", "3 (1).png"], r"3 \(1\)\.png: not in the series"),
        (["f0.png", "f1.png", "f2.png", "f0_mask.png", "f1_mask.png", "f2_mask.png"], "3 images"),
        (["0.png", "1.png", "thumb.jpg"], r"thumb\.jpg: not in the series of 0\.png \(2 images\)"),
        (["a1.png", "a2.png", "b1.png", "b2.png"], r"b1\.png, b2\.png: not in the series"),
        (["f1.png", "f01.png", "f2.png", "f3.png"], r"f0?1\.png: not in the series"),
        (["x0.png", "x1.png", "x2.png", "copy of x1.png", "depth_0.png"], "not in the series of x0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_picture_that_is_no_frame_is_named(tmp_path, names, message):
    folder = save(tmp_path / "frames", names)
    for read in (read_clip, probe):
        with pytest.raises(MediaError, match=message):
            read(folder)


def test_frames_of_fractions_and_of_negative_times_are_in_order(tmp_path):
    for number, names in enumerate((["t0.25", "t0.5", "t1"], ["t-2", "t-1", "t0", "t+1"])):
        frames = gray_ramp(len(names))
        folder = save(tmp_path / str(number), [f"{name}.png" for name in names[::-1]], frames[::-1])
        np.testing.assert_array_equal(read_clip(folder).frames.permute(0, 2, 3, 1).numpy(), np.stack(frames))


def test_one_image_is_a_clip_of_one_frame(tmp_path):
    for suffix in (".png", ".bmp", ".webp", ".JPG"):
        save(tmp_path, [f"one{suffix}"])
        clip = read_clip(tmp_path / f"one{suffix}")
        assert (clip.frames.shape, clip.indices) == ((1, 3, 48, 64), (0,))


def test_grey_palette_and_alpha_become_rgb(tmp_path):
    rgba = np.dstack([gray_ramp(1)[0], np.full((48, 64), 7, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_clip(tmp_path / "a.png").frames[0].permute(1, 2, 0), rgba[..., :3])
    Image.fromarray(rgba[..., 0]).save(tmp_path / "b.png")
    assert torch.equal(*(read_clip(tmp_path / "b.png").frames[0, c] for c in (0, 2)))


@pytest.mark.parametrize("transparency", [3, bytes(range(200))], ids=["one colour", "all colours"])
def test_transparent_palettes_become_rgb_without_a_warning(tmp_path, transparency):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(noise).quantize(200)
    image.save(tmp_path / "a.png", transparency=transparency)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(read_clip(tmp_path / "a.png").frames[0].permute(1, 2, 0), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_say(tmp_path, orientation):
    shown = gray_ramp(1)[0]
    back = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    ways = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
    ways |= {7: "TRANSVERSE", 8: "ROTATE_90"}
    stored = Image.fromarray(shown)
    if back != 1:
        stored = stored.transpose(Image.Transpose[ways[back]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "0.png", exif=exif)
    np.testing.assert_array_equal(read_clip(tmp_path / "0.png").frames[0].permute(1, 2, 0).numpy(), shown)
    info = probe(tmp_path / "0.png")
    assert (info.width, info.height) == (64, 48)
    save(tmp_path, ["1.png"])
    (tmp_path / "note.txt").touch()
    assert read_clip(tmp_path).total == 2


@pytest.mark.parametrize("pix_fmt", ["gray16be", "rgb48be", "rgba64be"])
def test_pictures_of_16_bits_have_one_rule(tmp_path, pix_fmt):
    channels = {"gray16be": (), "rgb48be": (3,), "rgba64be": (4,)}[pix_fmt]
    with av.open(str(tmp_path / "deep.png"), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 8, pix_fmt
        deep = np.full((8, 16, *channels), 40000, np.uint16)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(deep, format=pix_fmt)))
        out.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"deep\.png: more than 8 bits per channel .*convert it to 8-bit RGB"):
        read_clip(tmp_path / "deep.png")


def test_a_moving_avif_is_read_whole(tmp_path):
    frames = gray_ramp(5)
    images = [Image.fromarray(pixels) for pixels in frames]
    images[0].save(tmp_path / "moving.avif", save_all=True, append_images=images[1:], duration=100, quality=100)
    images[0].save(tmp_path / "still.avif", quality=100)
    clip = read_clip(tmp_path / "moving.avif")
    assert clip.total == 5
    assert np.abs(clip.frames.permute(0, 2, 3, 1).numpy() - np.stack(frames).astype(float)).mean() < 4
    assert read_clip(tmp_path / "still.avif").total == 1


def test_folders_that_are_no_clip(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MediaError, match="no images in this folder"):
        read_clip(empty)
    mixed = save(tmp_path / "mixed", ["1.png", "2.png"], [gray_ramp(1)[0], gray_ramp(1, 20, 30)[0]])
    with pytest.raises(MediaError, match=r"2\.png: 30x20, but 1\.png is 64x48"):
        read_clip(mixed, FrameRequest(1))


def test_damaged_deep_and_animated_images_are_refused(tmp_path):
    save(tmp_path, ["whole.png"])
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-60])
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(tmp_path / "deep.png")
    frames = [Image.fromarray(pixels) for pixels in gray_ramp(3)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    for name, message in [
        ("cut.png", "truncated or damaged"),
        ("text.png", "not an image"),
        ("deep.png", "more than 8 bits"),
        ("moving.webp", "animated"),
        ("absent.png", "no such file"),
    ]:
        with pytest.raises(MediaError, match=message) as caught:
            read_clip(tmp_path / name)
        assert name in str(caught.value)


def pillow_frames(path):
    with Image.open(path) as image:
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            white = Image.new("RGBA", image.size, "white")
            frames.append(np.array(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")))
        return np.stack(frames)


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gif_frames_are_composited_as_pillow_does(tmp_path, disposal):
    frames = []
    for number in range(6):
        image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
        image.paste((200, 30 * number, 40, 255), (5 * number, 4, 5 * number + 12, 20))
        frames.append(image)
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0, disposal=disposal)
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), pillow_frames(path))
    assert (clip.total, clip.fps) == (6, pytest.approx(10.0))


def test_opaque_gif_with_uneven_times(tmp_path):
    images = [Image.fromarray(pixels).quantize(64) for pixels in gray_ramp(4)]
    path = tmp_path / "opaque.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[50, 300, 20, 90])
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), pillow_frames(path))
