"""Tables of the terminal: eighty columns, long names above their rows, columns that are left out last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_vidmetrics.core.wording import WIDTH, fitted, share

HEAD = ("gate", "baseline", "harm", "verdict")


def test_a_table_that_fits_keeps_every_column() -> None:
    rows = [HEAD, ("common.psnr", "36.73", "0.98", "REGRESSED")]
    assert fitted(rows, ("harm",), ("baseline", "harm")) == [
        "gate         baseline  harm  verdict",
        "common.psnr     36.73  0.98  REGRESSED",
    ]


def test_long_names_stand_above_before_columns_are_left_out() -> None:
    rows = [HEAD, ("n" * 60, "36.73", "0.98", "PASS"), ("short", "1", "2", "ERROR")]
    lines = fitted(rows, ("harm",), width=50)
    assert "harm" in lines[0]
    assert lines[1].split("\n") == ["n" * 60, "       36.73     0.98  PASS"]
    assert "harm" not in fitted(rows, ("harm",), width=25)[0]


@given(st.lists(st.text("abc.", min_size=1, max_size=90), min_size=1, max_size=5), st.integers(30, WIDTH))
def test_verdicts_stand_at_the_end_of_a_line_that_fits(names: list[str], width: int) -> None:
    rows = [HEAD, *((name, "0.03258", "0.003258", "REGRESSED") for name in names)]
    for name, text in zip(names, fitted(rows, ("harm",), width=width)[1:], strict=True):
        *above, last = text.split("\n")
        assert last.endswith("  REGRESSED")
        assert len(last) <= width
        assert (above or last.split()[:1]) == [name]


def test_shares_have_two_digits_and_a_sign() -> None:
    shares = [share(0.3, 0.0325), share(-1.0, 36.73), share(1e-9, 1.0), share(1.0, 0.0), share(1e9, 1e-3)]
    assert shares == ["+923%", "-2.7%", "0%", "", "+1.0e+14%"]
