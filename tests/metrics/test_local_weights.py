"""``weights=`` of every metric with networks: local files in place of published ones, known by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks.declared import networks_of

WITH_NETWORKS = [
    name
    for name in registry.list_metrics()
    if registry.metric_class(name).has_networks()
    and not registry.missing_dependencies(name)
    and registry.get_metric(name).weights_files()
]


@pytest.mark.parametrize("name", WITH_NETWORKS)
def test_every_metric_with_networks_takes_weights(name: str, tmp_path: Path) -> None:
    files = registry.get_metric(name).weights_files()
    given: str | dict[str, str] = {one.name: str(tmp_path / str(i)) for i, one in enumerate(files)}
    if "weights" in registry.get_metric(name).__dict__:  # one file, named by a constructor's argument
        given = str(tmp_path / "0")
    metric = registry.get_metric(name, weights=given)
    assert str(tmp_path / "0") in {one.source for one in metric.weights_files()}
    assert "weights" not in metric.params()


def test_one_path_is_the_only_file_and_its_content_is_what_counts(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).write_bytes(b"the same bytes")
    name = "vbench.subject_consistency"
    first, second = (registry.get_metric(name, weights=str(tmp_path / place)) for place in ("a", "b"))
    assert [one.source for one in first.weights_files()] == [str(tmp_path / "a")]
    assert weights_sha256(*first.weights_files()) == weights_sha256(*second.weights_files())
    assert first.identity() == second.identity() == registry.get_metric(name).identity()
    (_, network), *_ = networks_of(type(first))
    assert network.weights(first) == first.weights_files()


def test_a_file_that_is_not_loaded_is_refused() -> None:
    with pytest.raises(ValueError, match="loads no file 'amt'; did you mean"):
        registry.get_metric("vbench.motion_smoothness", weights={"amt": "x.pth"})
    with pytest.raises(ValueError, match=r"give weights = \{name = path\}"):
        registry.get_metric("common.lpips", weights="x.pth")
    with pytest.raises(TypeError, match="takes no parameter 'weights'"):
        registry.get_metric("common.psnr", weights="x.pth")


def test_a_manifest_names_them(tmp_path: Path) -> None:
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text(
        'schema = 1\n[case.c]\nvideo = "*.mp4"\nmetrics = ["vbench.motion_smoothness"]\n'
        '[case.c.metric."vbench.motion_smoothness"]\nweights = { "amt-s.pth" = "mine.pth" }\n'
    )
    (case,) = load_manifest(path).cases
    config = case.configs["vbench.motion_smoothness"]
    metric = registry.get_metric(config[0], **config[1])
    assert metric.weights_files()[0].source == str(Path("mine.pth").absolute())
