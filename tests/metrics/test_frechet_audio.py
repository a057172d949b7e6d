"""Set metrics of sounds: recorded values, closed forms, shards, left-out clips and reference files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import NoAudioStreamError, SilentAudioError
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.audio.frechet_distance import FrechetDistance
from pytest_vidmetrics.metrics.audio.kad import KernelAudioDistance
from pytest_vidmetrics.metrics.audio.passt_features import SoundSetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.networks.passt import Audio, Passt
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone
from tests.support.oracle_inputs import feature_set
from tests.support.passt_weights import DATA, passt_state

RATE = 32000
ORACLE = json.loads((DATA / "frechet_distance_shallow.json").read_text())
SECONDS = [10.0, 7.0, 10.0, 11.5, 5.0, 10.0]


class Fake:
    """An embedding of a sound without weights: its first samples."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, samples: np.ndarray) -> Audio:
        self.calls += 1
        return Audio(np.zeros(527, np.float32), np.resize(samples[:768], 768))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VIDMETRICS_PASST", str(tmp_path / "weights.pt"))
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASTVIDEO_FAD_REF_FEATURES", raising=False)
    (tmp_path / "weights.pt").write_bytes(b"stands for the weights of the stand-in network")
    return tmp_path / "cache" / "fad"


def _with(network: Any, metric: Any) -> Any:
    metric._network = network
    return metric


def _fill(metric: Any, generated: range, reference: range = range(0)) -> Any:
    for role, seeds in (("generated", generated), ("reference", reference)):
        for seed in seeds:
            metric.accumulate({"id": f"{role}{seed:02d}", "role": role, "audio": (tone(0.2, RATE, seed), RATE)})
    return metric


def _set(rows: np.ndarray, kind: str = "c") -> FeatureSet:
    return FeatureSet(np.asarray(rows, dtype=np.float64), tuple(f"{kind}{i:03d}" for i in range(len(rows))))


def _recorded() -> tuple[FeatureSet, FeatureSet]:
    with np.load(DATA / "frechet_distance_shallow.npz") as arrays:
        return _set(arrays["gen"]), _set(arrays["ref"])


def _check_end_to_end(network: Passt, name: str) -> None:
    oracle = json.loads((DATA / f"{name}.json").read_text())
    metric = _with(network, FrechetDistance(cache_mode="off"))
    for i, seconds in enumerate(SECONDS):
        pair = {"audio": (tone(seconds, RATE, 220 + i), RATE), "reference_audio": (tone(seconds, RATE, 230 + i), RATE)}
        metric.accumulate({"id": str(i), **pair})
    result = metric.finalize()
    assert result.score == pytest.approx(
        oracle["expected"]["exact"]["fd"], rel=oracle["tolerance"]["exact_rel_end_to_end"]
    )
    expected = oracle["expected"]["exact"]["mean_term"]
    assert result.details["mean_term"] == pytest.approx(expected, rel=1e-4)


def test_scores_of_recorded_embeddings_match_the_exact_form() -> None:
    generated, reference = _recorded()
    expected, metric = ORACLE["expected"], FrechetDistance()
    result = metric.score_sets(generated, reference)
    assert result.score == pytest.approx(expected["exact"]["fd"], rel=1e-9)
    assert result.details["mean_term"] == pytest.approx(expected["exact"]["mean_term"], rel=1e-9)
    four = metric.score_sets(_set(generated.rows[:4]), _set(reference.rows[:4])).score
    assert four == pytest.approx(expected["first_4_each"], rel=1e-9)
    two = metric.score_sets(_set(generated.rows[:2]), reference).score
    assert two == pytest.approx(expected["gen_2_vs_ref_6"], rel=1e-9)
    # What the suites report differs by their multiple of the identity and the error of a singular root.
    for suite in ("fastvideo_eps_1e-6", "av_benchmark_no_eps"):
        assert result.score == pytest.approx(expected["reference_values"][suite], rel=5e-5)


def test_embeddings_of_sounds_match_the_reference() -> None:
    metric = _with(Passt(passt_state()), FrechetDistance())
    generated, reference = _recorded()
    for rows, base, i in ((generated, 220, 1), (reference, 230, 3)):
        found = metric.features({"audio": (tone(SECONDS[i], RATE, base + i), RATE)})
        np.testing.assert_allclose(found[0], rows.rows[i], atol=5e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("depth", ["_shallow", ""])
def test_sounds_to_score_match_the_reference(depth: str) -> None:
    _check_end_to_end(Passt(passt_state(f"passt{depth}")), f"frechet_distance{depth}")


def test_a_set_against_itself_is_zero() -> None:
    generated, _ = _recorded()
    result = FrechetDistance().score_sets(generated, generated)
    assert result.score == pytest.approx(0, abs=1e-9)
    assert result.details["mean_term"] == 0.0
    metric = _fill(_with(Fake(), FrechetDistance()), range(5), range(5))
    assert metric.finalize().score == pytest.approx(0, abs=1e-9)


def test_closed_forms() -> None:
    rows, metric = feature_set(12, 40, 3), FrechetDistance()
    shift = np.linspace(-1, 1, 40)
    score = metric.score_sets(_set(rows + shift), _set(rows)).score
    assert score == pytest.approx(float(shift @ shift), rel=1e-9)
    centred = rows - rows.mean(axis=0)
    trace = float(np.cov(rows, rowvar=False).trace())
    assert metric.score_sets(_set(1.5 * centred), _set(centred)).score == pytest.approx(0.25 * trace, rel=1e-9)
    other = feature_set(9, 40, 4)
    there, back = (metric.score_sets(_set(a), _set(b)).score for a, b in ((rows, other), (other, rows)))
    assert there == pytest.approx(back, rel=1e-12)
    assert metric.score_sets(_set(rows[::-1]), _set(other)).score == pytest.approx(there, rel=1e-12)


def test_details_and_influence() -> None:
    generated, reference = _recorded()
    result = FrechetDistance().score_sets(generated, reference)
    details = result.details
    assert details["mean_term"] + details["covariance_term"] == result.score
    assert (details["n_gen"], details["n_ref"], details["dimension"], details["null_floor_n"]) == (6, 6, 768, 3)
    assert set(details["influence"]) == set(generated.ids)
    assert sum(details["influence"].values()) == pytest.approx(0, abs=1e-9)
    assert details["se"] > 0
    assert details["kad"] == pytest.approx(KernelAudioDistance().score_sets(generated, reference).score, rel=1e-12)
    json.dumps(details)
    # A clip of its own kind raises the score most.
    odd = _set(np.concatenate([feature_set(9, 20, 5), feature_set(1, 20, 6, offset=5.0)]))
    influence = FrechetDistance().score_sets(odd, _set(feature_set(30, 20, 7))).details["influence"]
    assert max(influence, key=lambda name: influence[name]) == "c009"


@pytest.mark.parametrize("metric", [KernelAudioDistance(), KernelAudioDistance("polynomial")])
def test_kernel_distance(metric: KernelAudioDistance) -> None:
    same = [metric.score_sets(_set(feature_set(20, 12, i)), _set(feature_set(20, 12, 70 + i))) for i in range(12)]
    assert min(result.score for result in same) < 0 < max(result.score for result in same)
    moved = metric.score_sets(_set(feature_set(20, 12, 1, offset=1.0)), _set(feature_set(20, 12, 71)))
    assert moved.score > max(result.score for result in same)
    assert moved.details["p_value"] == pytest.approx(1 / 1001)
    assert sum(moved.details["influence"].values()) == pytest.approx(0, abs=1e-9)
    assert moved.details["se"] > 0
    assert (moved.details["bandwidth"] is None) == (metric.kernel == "polynomial")
    json.dumps(moved.details)


def test_the_bandwidth_is_that_of_the_reference() -> None:
    generated, reference = _set(feature_set(8, 5, 1, scale=9.0)), _set(feature_set(9, 5, 2))
    found = KernelAudioDistance().score_sets(generated, reference)
    rows = reference.rows
    gaps = [float(np.linalg.norm(rows[i] - rows[j])) for i in range(9) for j in range(i)]
    assert found.details["bandwidth"] == pytest.approx(np.median(gaps), rel=1e-12)
    named = KernelAudioDistance(bandwidth=2.0).score_sets(generated, reference)
    assert named.details["bandwidth"] == 2.0
    assert named.score != found.score
    equal = _set(np.ones((4, 5)))
    with pytest.raises(ValueError, match="needs a bandwidth"):
        KernelAudioDistance().score_sets(generated, equal)
    assert "kad" not in FrechetDistance().score_sets(generated, equal).details
    for params in ({"kernel": "linear"}, {"bandwidth": 0.0}, {"kernel": "polynomial", "bandwidth": 1.0}):
        with pytest.raises(ValueError, match="kernel"):
            KernelAudioDistance(**params)  # type: ignore[arg-type]


def test_fewer_than_two_clips_are_a_skip() -> None:
    generated, reference = _recorded()
    for metric in (FrechetDistance(), KernelAudioDistance()):
        result = metric.score_sets(_set(generated.rows[:1]), reference)
        assert result.status == "skipped"
        assert "got 1 generated and 6 of the reference" in result.reason
    bad = FeatureSet(np.where(np.arange(6)[:, None] == 2, np.nan, generated.rows), generated.owners)
    with pytest.raises(ValueError, match="not finite: c002"):
        FrechetDistance().score_sets(bad, reference)


@settings(deadline=None, max_examples=20)
@given(parts=st.lists(st.integers(0, 3), min_size=8, max_size=8), order=st.permutations(range(4)), named=st.booleans())
def test_merged_shards_have_the_same_bits(parts: list[int], order: list[int], named: bool) -> None:
    def worker() -> FrechetDistance:
        metric = FrechetDistance(cache_mode="off")
        metric.reset()
        return metric

    workers = [worker() for _ in range(4)]
    whole, merged = worker(), worker()
    rows = feature_set(16, 768, 8)
    for i, part in enumerate(parts):
        for role, row in (("generated", rows[i]), ("reference", rows[8 + i])):
            for metric in (workers[part], whole):
                metric.add(role, f"s{i}" if named else "", row[None])
        workers[part]._left_out["generated"] += 1
    for index in order:
        merged.merge_from(workers[index])
    found, expected = merged.finalize(), whole.finalize()
    assert found.score == expected.score
    assert found.details["kad"] == expected.details["kad"]
    assert sorted(found.details["influence"].values()) == sorted(expected.details["influence"].values())
    assert (found.details["n_gen"], found.details["n_gen_dropped_nonfinite"]) == (8, 8)
    with pytest.raises(ValueError, match="cannot merge"):
        merged.merge_from(FrechetDistance("av-benchmark"))


def test_two_threads_give_identical_numbers() -> None:
    generated, reference = _recorded()
    metric = FrechetDistance()
    alone = metric.score_sets(generated, reference)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: metric.score_sets(generated, reference), range(4))) == [alone] * 4


def test_clips_without_an_embedding_are_counted_on_their_side(tmp_path: Path) -> None:
    mute = str(write_video(tmp_path / "mute.mp4", gray_ramp(4)))
    silent = (np.zeros(9000, np.float32), RATE)
    metric = _fill(_with(Fake(), FrechetDistance()), range(3), range(20, 23))
    with pytest.raises(NoAudioStreamError, match=r"audio: .*mute\.mp4"):
        metric.accumulate({"id": "mute", "audio": mute})
    with pytest.raises(SilentAudioError, match="audio: the audio is silent"):
        metric.accumulate({"id": "zero", "role": "reference", "audio": silent})
    # The pair of a silent reference counts on neither side.
    with pytest.raises(SilentAudioError):
        metric.accumulate({"id": "pair", "audio": (tone(0.2, RATE, 9), RATE), "reference_audio": silent})
    details = metric.finalize().details
    assert (details["n_gen"], details["n_gen_dropped_nonfinite"]) == (3, 2)
    assert (details["n_ref"], details["n_ref_dropped_nonfinite"]) == (3, 2)
    metric.reset()
    assert metric.finalize().status == "skipped"


def test_silence_has_a_row_without_normalisation() -> None:
    metric = _with(Fake(), FrechetDistance("av-benchmark"))
    assert metric.features({"audio": (np.zeros(9000, np.float32), RATE)}).shape == (1, 768)


def test_a_gain_changes_nothing_where_the_peak_is_normalised() -> None:
    sound = tone(0.5, RATE, 3)
    for compat, same in (("fastvideo", True), ("av-benchmark", False)):
        metric = _with(Fake(), FrechetDistance(compat))  # type: ignore[arg-type]
        loud, soft = (metric.features({"audio": (sound * np.float32(gain), RATE)}) for gain in (1.0, 0.1))
        assert np.allclose(loud, soft, atol=1e-6) == same


def test_windows_of_a_long_sound_may_be_averaged() -> None:
    sound = tone(1.0, RATE, 3)
    rules = {"windows": "all", "window_s": 0.5, "hop_s": 0.5}
    found = _with(Fake(), FrechetDistance(protocol=rules)).features({"audio": (sound, RATE)})
    halves = [
        _with(Fake(), FrechetDistance("av-benchmark", {"remove_mean": False})).features({"audio": (half, RATE)})
        for half in np.split(sound * np.float32(10 ** (-1 / 20) / np.abs(sound).max()), 2)
    ]
    np.testing.assert_allclose(found, (halves[0] + halves[1]) / 2, atol=1e-6)


def test_protocols_differ_in_identity_and_metrics_share_rows() -> None:
    assert FrechetDistance().feature_identity() == KernelAudioDistance("polynomial").feature_identity()
    assert FrechetDistance().feature_identity() != FrechetDistance("av-benchmark").feature_identity()
    assert FrechetDistance().identity() != FrechetDistance(protocol={"remove_mean": True}).identity()
    assert FrechetDistance(cache_mode="off", weights="a.pt").identity() == FrechetDistance().identity()
    assert FrechetDistance().reference_key() == "reference_audio"
    with pytest.raises(ValueError, match="cache_mode must be one of"):
        FrechetDistance(cache_mode="write")  # type: ignore[arg-type]


def test_references_given_as_samples_pairs_or_a_file_score_alike(tmp_path: Path) -> None:
    path = str(tmp_path / "ref.npz")
    roles = _fill(_with(Fake(), FrechetDistance(cache_path=path)), range(4), range(20, 24)).finalize()
    pairs = _with(Fake(), FrechetDistance(cache_mode="off"))
    for i in range(4):
        sounds = {"audio": (tone(0.2, RATE, i), RATE), "reference_audio": (tone(0.2, RATE, 20 + i), RATE)}
        pairs.accumulate({"id": str(i), **sounds})
    cached = _fill(_with(Fake(), FrechetDistance(cache_path=path)), range(4)).finalize()
    assert roles.score == pairs.finalize().score == cached.score
    assert (roles.details["ref_source"], cached.details["ref_source"]) == ("samples", "cached")
    assert roles.details["ref_set"] == cached.details["ref_set"]


def test_known_sounds_are_not_heard_again(tmp_path: Path) -> None:
    def heard(metric: SoundSetMetric, seeds: Iterable[int]) -> int:
        network = Fake()
        worker = EvalWorker(FileStore(tmp_path / "store"))
        for seed in seeds:
            worker.fill({"audio": (tone(0.2, RATE, seed), RATE)}, [_with(network, metric)])
        return network.calls

    assert heard(FrechetDistance(), range(7)) == 7
    assert heard(KernelAudioDistance(), range(8)) == 1
    assert heard(FrechetDistance("av-benchmark"), range(7)) == 7


def _tensor(folder: Path, name: str, value: Any) -> str:
    torch.save(value, folder / name)
    return str(folder / name)


def test_the_variable_names_a_tensor_and_streamed_references_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.from_numpy(feature_set(5, 768, 6)).float()
    monkeypatch.setenv("FASTVIDEO_FAD_REF_FEATURES", _tensor(tmp_path, "ref.pt", rows))
    found = _fill(_with(Fake(), FrechetDistance()), range(4)).finalize()
    generated = np.concatenate([_rows(seed) for seed in range(4)])
    assert found.score == pytest.approx(FrechetDistance().score_sets(_set(generated), _set(rows.numpy())).score)
    assert (found.details["ref_source"], found.details["n_ref"]) == ("cached", 5)
    named = _tensor(tmp_path, "dict.pth", {f"clip{i}": row[None] for i, row in enumerate(rows)})
    by_name = _fill(_with(Fake(), FrechetDistance(cache_path=named)), range(4)).finalize()
    assert by_name.score == pytest.approx(found.score, rel=1e-12)
    streamed = _fill(_with(Fake(), FrechetDistance()), range(4), range(20, 24)).finalize()
    assert (streamed.details["ref_source"], streamed.details["n_ref"]) == ("samples", 4)
    assert torch.equal(torch.load(tmp_path / "ref.pt"), rows)


def _rows(seed: int) -> np.ndarray:
    metric: SoundSetMetric = _with(Fake(), FrechetDistance())
    return metric.features({"audio": (tone(0.2, RATE, seed), RATE)})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(3, 512), r"holds \(3, 512\): expected one row of 768"),
        (torch.zeros(768), "expected one row of 768"),
        ({"a": torch.zeros(768), "b": torch.zeros(10)}, "expected one row of 768"),
        ([1.0], "holds list"),
        (torch.full((3, 768), torch.nan), "not finite"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    metric = _fill(_with(Fake(), FrechetDistance(cache_path=_tensor(tmp_path, "ref.pt", value))), range(3))
    with pytest.raises(ValueError, match=message):
        metric.finalize()


def test_a_damaged_or_missing_file(tmp_path: Path) -> None:
    (tmp_path / "ref.pt").write_text("no tensor")
    metric = _fill(_with(Fake(), FrechetDistance(cache_path=str(tmp_path / "ref.pt"))), range(3))
    with pytest.raises(ValueError, match="holds no reference features"):
        metric.finalize()
    # A bare tensor is never written, and neither is something else under its name.
    scored = _fill(_with(Fake(), FrechetDistance(cache_path=str(tmp_path / "gone.pt"))), range(3), range(5, 8))
    assert scored.finalize().status == "scored"
    assert not (tmp_path / "gone.pt").exists()
    gone = _fill(_with(Fake(), FrechetDistance(cache_path=str(tmp_path / "gone.pt"))), range(3)).finalize()
    assert (gone.status, "gone.pt does not exist" in gone.reason) == ("skipped", True)
    off = _fill(_with(Fake(), FrechetDistance(cache_mode="off")), range(3)).finalize()
    assert off.status == "skipped"
