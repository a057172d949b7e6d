"""From answers to verdicts: which clip was shown first, who won a pair, how often the candidate wins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Winner = Literal["video_1", "video_2", "tie"]
Side = Literal["candidate", "reference", "tie"]

WINNERS: tuple[Winner, ...] = ("video_1", "video_2", "tie")
SCORES: dict[Side, float] = {"candidate": 1.0, "tie": 0.5, "reference": 0.0}


@dataclass(frozen=True)
class Vote:
    """One answer about a pair: whether the candidate was shown first, and which side it is for."""

    candidate_first: bool
    side: Side


def orders(candidate: str, reference: str, calls: int) -> list[bool]:
    """Return for each call whether the candidate is shown first: in turns, beginning by the digest of both names.

    An even number of calls shows each order equally often. The arithmetic is that of FastVideo @2f3d4074, which names
    a clip by its path; here the names are digests of the clips' content.
    """
    start = int(hashlib.sha1(f"{candidate}|{reference}".encode()).hexdigest(), 16)
    return [(start + i) % 2 == 0 for i in range(calls)]


def side_of(winner: Winner, *, candidate_first: bool) -> Side:
    """Return which side an answer is for."""
    if winner == "tie":
        return "tie"
    return "candidate" if (winner == "video_1") == candidate_first else "reference"


def verdict(sides: Sequence[Side]) -> Side:
    """Return the side that most answers are for, those for neither aside; a tie when both have as many."""
    ahead = sides.count("candidate") - sides.count("reference")
    return "candidate" if ahead > 0 else "reference" if ahead < 0 else "tie"


def is_consistent(votes: Sequence[Vote]) -> bool | None:
    """Return whether the verdict is the same with the clips in either order; ``None`` when only one was shown."""
    both = [[vote.side for vote in votes if vote.candidate_first == first] for first in (True, False)]
    return verdict(both[0]) == verdict(both[1]) if all(both) else None


@dataclass(frozen=True)
class Tally:
    """How many pairs the candidate won and lost, and how many are undecided."""

    wins: int
    losses: int
    ties: int

    @classmethod
    def of(cls, sides: Sequence[Side]) -> Tally:
        """Count verdicts."""
        return cls(sides.count("candidate"), sides.count("reference"), sides.count("tie"))

    @property
    def rate(self) -> float | None:
        """The share of the decided pairs that the candidate won; ``None`` when none is decided."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    def to_json(self) -> dict[str, Any]:
        """Return the counts and the rate."""
        return {
            "n": self.wins + self.losses + self.ties,
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "win_rate": self.rate,
        }


def by_label(sides: Mapping[str, Side], labels: Mapping[str, Any]) -> dict[str, Tally]:
    """Return the counts of each label, whatever its type; pairs without a label are left out."""
    groups: dict[str, list[Side]] = {}
    for id, side in sides.items():
        if (label := labels.get(id)) is not None:
            groups.setdefault(str(label), []).append(side)
    return {label: Tally.of(groups[label]) for label in sorted(groups)}


def influences(sides: Mapping[str, Side]) -> dict[str, float]:
    """Return how much each pair raises the win rate: their squares add up to its variance.

    To first order, leaving a pair out moves ``wins / (wins + losses)`` by this much; a tie moves nothing.
    """
    rate = Tally.of(list(sides.values())).rate
    decided = sum(side != "tie" for side in sides.values())
    if rate is None:
        return dict.fromkeys(sides, 0.0)
    return {id: 0.0 if side == "tie" else (SCORES[side] - rate) / decided for id, side in sides.items()}
