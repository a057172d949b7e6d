"""Manifest files: three formats, one schema, lines in every message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.gates.case import manifest_stem
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.manifest_syntax import read_tree
from pytest_vidmetrics.gates.selection import gates_of

FULL = """\
schema = 1

[case.i2v]
video = ["a.mp4", "more/*.mp4"]
reference = "ref"
samples = "rows.jsonl"
fps = 24
pair = "set"
clips_per_item = 4
marks = ["nightly"]
fixtures = ["gpu"]
cluster = "text_prompt"
metrics = ["common.psnr", "vbench"]

[case.i2v.metric.ssim_luma]
use = "common.ssim"
channels = "luma"

[case.i2v.gate.default]
rel = 0.05
[case.i2v.gate."common.psnr"]
abs = 0.5
decide = "strict"
alpha = 0.01
"""


def write(folder: Path, text: str, name: str = "m.vidmetrics.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_every_key_of_the_schema(tmp_path) -> None:
    (case,) = load_manifest(write(tmp_path, FULL)).cases
    assert case.media == {"video": ("a.mp4", "more/*.mp4"), "reference": ("ref",)}
    assert (case.pair, case.clips_per_item, case.marks, case.fixtures) == ("set", 4, ("nightly",), ("gpu",))
    assert case.broadcast == {"fps": 24}
    assert case.configs == {"ssim_luma": ("common.ssim", {"channels": "luma"})}
    assert case.policy("common.psnr") == Policy(abs=0.5, decide="strict", alpha=0.01)
    assert case.policy("anything") == Policy(rel=0.05)
    assert case.at("reference").line == 5
    assert case.at("gate", "common.psnr", "abs").line == 22


def test_yaml_and_json_parse_to_the_same_cases(tmp_path) -> None:
    tree, _ = read_tree(write(tmp_path, FULL))
    toml = load_manifest(tmp_path / "m.vidmetrics.toml").cases[0]
    for name, text in (
        ("m.vidmetrics.yaml", yaml.safe_dump(tree)),
        ("m.vidmetrics.yml", yaml.safe_dump(tree)),
        ("m.vidmetrics.json", json.dumps(tree, indent=2)),
    ):
        case = load_manifest(write(tmp_path, text, name)).cases[0]
        assert (case.media, case.metrics, case.configs) == (toml.media, toml.metrics, toml.configs)
        assert (case.policies, case.broadcast) == (toml.policies, toml.broadcast)
        spot = case.at("reference")
        assert "reference" in text.splitlines()[spot.line - 1]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("m.vidmetrics.yaml", "schema: 1\ncase:\n  a:\n    video: x\n    video: y\n", 5),
        ("m.vidmetrics.json", '{"schema": 1,\n "schema": 1}', 2),
        ("m.vidmetrics.toml", "schema = 1\nschema = 1\n", 2),
        ("m.vidmetrics.yaml", "schema: 1\ncase: [\n", 3),
        ("m.vidmetrics.json", '{"schema": 1,,}', 1),
    ],
)
def test_repeated_keys_and_syntax_errors_name_the_line(tmp_path, name, text, line) -> None:
    with pytest.raises(ManifestError, match=rf"{name}:{line}: "):
        load_manifest(write(tmp_path, text, name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 1", "at least one"),
        ("schema = 1\n[case.a]\nfps = 24", "names no clips"),
        ("schema = 1\n[case.'a b']\nvideo = 'x'", "letters, digits"),
        ("schema = 1\n[case.a]\nvideo = 3", "must be text or a list of texts"),
        ("schema = 1\n[case.a]\nvideo = []", "must be text or a list of texts"),
        ("schema = 1\n[case.a]\nvideo = ''", ":3: video holds an empty text"),
        ("schema = 1\n[case.a]\nvideo = 'x'\nreference = ['y', ' ']", ":4: reference holds an empty text"),
        ("schema = 1\n[case.a]\nsamples = ''", ":3: samples is empty; leave the key out"),
        ("schema = 1\n[case.a]\nvideo = 'x'\ncheckpoint = ''", ":4: checkpoint is empty"),
        ("schema = 1\n[case.a]\nvideo = 'x'\npair = 'twins'", "pair must be one of stem, set"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.metric.b]\nuse = 'common.ssim'\nwindo = 1", "mean 'window'"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.metric.b]\nuse = 'common.ssim'\nwindow = 'x'", "window must be"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.gate.default]\nalpha = 0.6", "alpha must lie between"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.gate.default]\nabs = 'much'", "abs must be a number"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.gate.default]\nabs = true", "abs must be a number"),
        ("schema = 1\n[case.a]\nvideo = 'x'\n[case.a.gate.default]\nrel = inf", "rel must be finite"),
    ],
)
def test_what_the_schema_refuses(tmp_path, text, message) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        load_manifest(write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / 'm.vidmetrics.toml'}:")


def test_gates_are_the_selection_cut_with_the_cases_list(tmp_path) -> None:
    (case,) = load_manifest(write(tmp_path, FULL)).cases
    names = lambda *selection: [gate.gate for gate in gates_of(case, selection)]  # noqa: E731
    assert names("common") == ["common.psnr", "ssim_luma"]
    assert names("common.ssim") == ["ssim_luma"]
    assert names("vbench.temporal_flickering") == ["vbench.temporal_flickering"]
    assert names("audio") == [] if "audio" in _groups() else True
    assert set(names("all")) >= {"common.psnr", "ssim_luma", "vbench.temporal_flickering"}


def _groups() -> set[str]:
    from pytest_vidmetrics.metrics import registry

    return set(registry.selectable())


def test_what_a_manifest_lists_counts_as_named_be_it_by_a_group(tmp_path) -> None:
    (case,) = load_manifest(write(tmp_path, FULL)).cases
    for selection in ("all", "vbench"):
        assert all(gate.listed for gate in gates_of(case, [selection]))


def test_only_a_group_of_the_selection_brings_in_what_is_not_meant(tmp_path) -> None:
    text = "schema = 1\n[case.a]\nvideo = 'x'\n[case.a.metric.luma]\nuse = 'common.ssim'"
    (case,) = load_manifest(write(tmp_path, text)).cases
    listed = {gate.gate: gate.listed for gate in gates_of(case, ["common", "vbench.temporal_flickering"])}
    assert listed["luma"]
    assert listed["vbench.temporal_flickering"]
    assert not listed["common.psnr"]


def test_a_case_without_a_list_takes_the_selection(tmp_path) -> None:
    (case,) = load_manifest(write(tmp_path, "schema = 1\n[case.a]\nvideo = 'x'")).cases
    assert [gate.gate for gate in gates_of(case, ["common.psnr"])] == ["common.psnr"]


keys = st.text("abcdefgh_", min_size=1, max_size=6)
trees = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.text("xyz #=[]{}:'\"\\", max_size=8),
    lambda inner: st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(keys, trees, max_size=4))
def test_json_trees_survive_and_every_key_has_the_line_it_stands_on(tree, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("json") / "m.vidmetrics.json"
    text = json.dumps(tree, indent=1)
    path.write_text(text)
    read, lines = read_tree(path)
    assert read == tree
    for key, line in lines.items():
        assert json.dumps(key[-1]) in text.splitlines()[line - 1]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80), suffix=st.sampled_from(["toml", "yaml", "json"]))
def test_no_text_gets_anything_but_a_manifest_error(text, suffix, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("any") / f"m.vidmetrics.{suffix}"
    path.write_text(text, errors="surrogatepass") if text.isprintable() else path.write_bytes(text.encode("utf-16"))
    with pytest.raises(ManifestError, match=r"m\.vidmetrics\.\w+:\d+: "):
        load_manifest(path)


@pytest.mark.parametrize("suffix", ["toml", "yaml", "yml", "json"])
def test_the_stem_of_a_manifest(suffix) -> None:
    assert manifest_stem(Path(f"deep/wan.2.vidmetrics.{suffix}")) == "wan.2"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("schema = 1\n[case.a]\nvideo = 'v'\n[case.A]\nvideo = 'v'\n", 4),
        (
            "schema = 1\n[case.a]\nvideo = 'v'\n[case.a.metric.x]\nuse = 'common.psnr'\n"
            "[case.a.metric.X]\nuse = 'common.ssim'\n",
            6,
        ),
    ],
)
def test_names_that_differ_in_case_only_are_refused(tmp_path, text, line) -> None:
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=rf"m\.vidmetrics\.toml:{line}: .*differ in case only"):
        load_manifest(path)
