from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import lpips as lpips_net
from pytest_vidmetrics.networks.state_dicts import MisfitError
from tests.support.oracle_fill import fill_array, fill_state_dict
from tests.support.pixel_clips import pair

FOLDER = Path(__file__).parents[1] / "data" / "common"
NETS = ("alex", "vgg", "squeeze")
DATA = {net: json.loads((FOLDER / f"lpips_{net}.json").read_text()) for net in NETS}
CASES = list(DATA["alex"]["expected"]["filled_heads"])


def trunk(net):
    with gzip.open(FOLDER / f"lpips_{net}.keys.json.gz", "rt") as stream:
        shapes = {key: tuple(value[0]) for key, value in json.load(stream).items()}
    # The classifiers are in the published file too, but hundreds of megabytes that nothing reads.
    shapes = {key: shape if key.startswith("features.") else (2, 2) for key, shape in shapes.items()}
    return fill_state_dict(shapes)


def heads(net):
    keys = {f"lin{i}.model.1.weight": (1, c, 1, 1) for i, c in enumerate(DATA[net]["checkpoint"]["head_channels"])}
    return {key: torch.from_numpy(abs(fill_array(key, shape, "open"))) for key, shape in keys.items()}


@pytest.fixture(scope="module")
def networks():
    return {net: lpips_net.build(net, trunk(net), heads(net)) for net in NETS}


def metric(networks, net, **params):
    made = get_metric("common.lpips", net=net, **params)
    made._network = networks[net]
    return made


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("net", NETS)
def test_scores_match_the_reference(networks, net, case):
    expected = DATA[net]["expected"]["filled_heads"][case]
    result = metric(networks, net).compute(pair(DATA[net], case))
    assert result.score == pytest.approx(expected["score"], abs=1e-6)
    assert result.details["per_frame"] == pytest.approx(expected["per_frame"], abs=1e-6)
    assert result.details["per_layer"] == pytest.approx(expected["per_layer_mean"], abs=1e-6)
    assert result.details["frames_scored"] == len(expected["per_frame"])


@pytest.mark.parametrize("size", [1, 4, 100])
def test_chunks_do_not_change_the_score(networks, size):
    sample = pair(DATA["alex"], "odd_size_10_vs_9")
    score = metric(networks, "alex", chunk_size=size).compute(sample).score
    assert score == pytest.approx(metric(networks, "alex").compute(sample).score, abs=1e-7)


def test_it_is_symmetric(networks):
    sample = pair(DATA["squeeze"], "two_clips")
    swapped = {"video": sample["reference"], "reference": sample["video"]}
    scorer = metric(networks, "squeeze")
    assert scorer.compute(sample).score == pytest.approx(scorer.compute(swapped).score, abs=1e-7)


def test_weights_of_files_are_loaded(tmp_path, monkeypatch):
    torch.save(trunk("squeeze"), tmp_path / "trunk.pth")
    torch.save(heads("squeeze"), tmp_path / "heads.pth")
    monkeypatch.setenv("VIDMETRICS_LPIPS_TRUNK_SQUEEZE", str(tmp_path / "trunk.pth"))
    monkeypatch.setenv("VIDMETRICS_LPIPS_HEADS_SQUEEZE", str(tmp_path / "heads.pth"))
    scorer = get_metric("common.lpips", net="squeeze")
    expected = DATA["squeeze"]["expected"]["filled_heads"]["two_clips"]["score"]
    assert scorer.compute(pair(DATA["squeeze"], "two_clips")).score == pytest.approx(expected, abs=1e-6)


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMETRICS_LPIPS_TRUNK_ALEX", str(tmp_path / "nowhere.pth"))
    with pytest.raises(UnavailableError, match=r"alexnet-owt-7be5be79\.pth.*vidmetrics fetch common\.lpips"):
        get_metric("common.lpips").setup()


def test_other_weights_are_refused():
    with pytest.raises(
        MisfitError, match=r"heads\.1\.weight has the shape \(1, 128, 1, 1\), \(1, 192, 1, 1\) expected"
    ):
        lpips_net.build("alex", trunk("alex"), heads("vgg"))


def test_sizes_that_do_not_fit_are_refused(networks):
    scorer = metric(networks, "alex")
    small = torch.zeros((1, 3, 20, 48), dtype=torch.uint8)
    with pytest.raises(IncompatibleSampleError, match="48x20"):
        scorer.compute({"video": small, "reference": small})
    large = torch.zeros((1, 3, 64, 48), dtype=torch.uint8)
    with pytest.raises(IncompatibleSampleError, match=r"48x64.*48x40"):
        scorer.compute({"video": large, "reference": large[:, :, :40]})


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="squeeze"):
        get_metric("common.lpips", net="resnet")
