"""Rankings of methods and other runs in the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_vidmetrics.gates.rank_report import RankReport
from pytest_vidmetrics.gates.record import RunRecord, read_record, write_record
from pytest_vidmetrics.report.build import write_report
from pytest_vidmetrics.report.tables import rankings
from tests.report.test_build import HOSTILE, Read
from tests.support.run_records import CASE, gate, record

RANKED = RankReport(
    CASE,
    "common.psnr",
    rows=(("rank", "method", "score"), ("1", "wan", "36.7"), ("2", HOSTILE, "35")),
    result={"higher_is_better": True, "n": 8, "remarks": ["ranked on 8 samples"]},
)
LOST = RankReport(CASE, "common.fvd", reason="ltx: no sample was scored")


def page(folder: Path, run: RunRecord, **others: RunRecord) -> Read:
    write_record(folder / "run.json", run, folder)
    write_report(folder / "r.html", read_record(folder / "run.json"), folder, record_name="run.json", others=others)
    return Read((folder / "r.html").read_text("utf-8"))


def test_a_ranking_has_a_row_a_method(tmp_path: Path) -> None:
    run = replace(record([gate("common.psnr", {"x": 35.0}, {"x": 36.7})]), rankings=(RANKED, LOST))
    found = page(tmp_path, run)
    assert "Ranking by common.psnr" in found.text
    assert CASE in found.text
    assert HOSTILE in found.text
    assert "higher is better; methods that are not told apart" in found.text
    assert "not ranked: ltx: no sample was scored" in found.text
    assert read_record(tmp_path / "r.html").rankings == (RANKED, LOST)
    # Rankings of several cases say whose they are.
    several = replace(run, rankings=(RANKED, replace(LOST, case="b::other")))
    assert f"Ranking of {CASE} by common.psnr" in page(tmp_path, several).text


def ranked(gate_name: str, **scores: tuple[float, int]) -> RankReport:
    rows = [{"method": name, "score": score, "rank": rank} for name, (score, rank) in scores.items()]
    return RankReport(CASE, gate_name, rows=(("rank", "method"), ("1", "x")), result={"methods": rows})


def test_methods_are_columns_beside_each_other_and_the_details_follow(tmp_path: Path) -> None:
    found = (ranked("m.one", wan=(36.70001, 1), ltx=(35.0, 2)), ranked("m.two", ltx=(0.5, 1), new=(0.25, 1)), LOST)
    run = replace(record([gate("m.one", {"x": 35.0}, {"x": 36.7})]), rankings=found)
    first, *others = rankings(run)
    assert first.head == ("gate", "wan", "ltx", "new")
    assert first.rows == (("m.one", "36.7 (1)", "35 (2)", "–"), ("m.two", "–", "0.5 (1)", "0.25 (1)"))
    assert [table.title for table in others] == [f"Ranking by {name}" for name in ("m.one", "m.two", "common.fvd")]
    assert "Methods" in page(tmp_path, run).text
    # A single gate has a column a method in its own table already.
    assert [table.title for table in rankings(replace(run, rankings=found[:1]))] == ["Ranking by m.one"]


def test_another_run_stands_beside_with_the_doubt(tmp_path: Path) -> None:
    before = {f"c{i}": 36.0 + i / 10 for i in range(8)}
    worse = {id: value - 2 - i / 100 for i, (id, value) in enumerate(before.items())}
    run = record([gate("common.psnr", worse, before)])
    found = page(tmp_path, run, old=record([gate("common.psnr", before, before, status="PASS")]))
    assert "This run beside old" in found.text
    row = found.text[found.text.index("bench/wan/t2v/common.psnr", found.text.index("This run beside old")) :]
    assert row.startswith("bench/wan/t2v/common.psnr36.3534.315−5.6 %2.0")
    assert "yesREGRESSED" in row[:80]
    # Clips alone are no run to compare with.
    assert "This run beside" not in page(tmp_path, run, baseline=RunRecord(())).text
