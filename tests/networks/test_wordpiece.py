from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.networks import wordpiece
from tests.support.wordpiece import made_up_pieces, write_vocabulary


def vocabulary(*words: str) -> wordpiece.Vocabulary:
    """Return a vocabulary whose ids from 200 on are ``words``."""
    return wordpiece.Vocabulary(tuple(made_up_pieces(dict(enumerate(words, 200)))))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("play", "##ing", "cat", "##s"), "playing cats"),
        (("##s", "cat"), "##s cat"),
        (("what", "?", "no", "!", "so", ",", "yes", "."), "what? no! so, yes."),
        (("one", ";", "two", ":"), "one ; two :"),
        (("man", "'", "s", "hat"), "man's hat"),
        (("do", "n't", "i", "'m", "he", "'s", "they", "'ve", "we", "'re"), "don't i'm he's they've we're"),
        (("the", "'", "90"), "the'90"),
        ((), ""),
    ],
)
def test_pieces_become_text(words: tuple[str, ...], text: str) -> None:
    ids = [wordpiece.START, *range(200, 200 + len(words)), wordpiece.END, wordpiece.PAD]
    assert vocabulary(*words).decode(ids) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a picture of ", ("a", "picture", "of")),
        ("A Café|cats", ("a", "cafe", "|", "cat", "##s")),
        ("cat xyzzy", ("cat", "[UNK]")),
        ("", ()),
    ],
)
def test_text_becomes_pieces(text: str, words: tuple[str, ...]) -> None:
    known = vocabulary("cat", "##s", "cafe")
    assert [known.pieces[id] for id in known.encode(text)] == list(words)


def test_only_line_feeds_end_a_piece(tmp_path: Path) -> None:
    path = write_vocabulary(tmp_path / "vocab.txt", {300: "\u2028", 301: "\x85", 302: "\x0c"})
    read = wordpiece.Vocabulary.read(path)
    assert read.pieces == tuple(made_up_pieces({300: "\u2028", 301: "\x85", 302: "\x0c"}))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert wordpiece.Vocabulary.read(path) == read


def test_another_file_is_named_with_what_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = tmp_path / "cut.txt"
    cut.write_text("\n".join(made_up_pieces()[:20000]), "utf-8")
    monkeypatch.setenv("VIDMETRICS_BERT_VOCABULARY", str(cut))
    with pytest.raises(UnavailableError, match=r"cut\.txt is not BERT's vocabulary: it has 20000 lines"):
        wordpiece.load("vbench.color")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnavailableError, match=r"binary\.txt.*not text"):
        wordpiece.Vocabulary.read(tmp_path / "binary.txt")
