"""RAFT's update block: twenty times it looks up what the flow points at, and corrects the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from pytest_vidmetrics.networks.flow.correlation import look_up, positions
from pytest_vidmetrics.networks.one_pass import Convolution, OnePass

RADIUS = 4
_HIDDEN, _MOTION = 128, 126
"""Channels of what the gates see, beside the context: the hidden state, and what moves. The flow itself follows."""
_BLOCK = "update_block"


class Update:
    """The block with weights named as in torchvision.

    The published gates see the hidden state, the context and the motion. What they make of the context is the same
    in every iteration, and is computed once; the others lie side by side in one buffer that everything writes into.
    The gates ``z`` and ``r``, which see the same, are one convolution.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        def convolution(name: str) -> Convolution:
            return Convolution(weights[f"{_BLOCK}.{name}.weight"], weights[f"{_BLOCK}.{name}.bias"])

        self._correlation = [convolution(f"motion_encoder.convcorr{i}.0") for i in (1, 2)]
        self._flow = [convolution(f"motion_encoder.convflow{i}.0") for i in (1, 2)]
        joint = convolution("motion_encoder.conv.0")
        seen = self._correlation[-1].weight.shape[0]
        self._of_correlation = Convolution(joint.weight[:, :seen])
        self._of_flow = Convolution(joint.weight[:, seen:], joint.bias)
        self._gates = [_Gates(weights, f"{_BLOCK}.recurrent_block.convgru{i}") for i in (1, 2)]
        self._head = [convolution(f"flow_head.conv{i}") for i in (1, 2)]

    def __call__(
        self, levels: Sequence[torch.Tensor], context: torch.Tensor, iterations: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ``(N, 2, h, w)`` flow in cells and the ``(N, 128, h, w)`` hidden state at the end.

        ``levels`` are those of :func:`~pytest_vidmetrics.networks.flow.correlation.pyramid`, ``context`` is what the
        context encoder gives: ``(N, 256, h, w)``.
        """
        count, _, height, width = context.shape

        def images(cells: torch.Tensor) -> torch.Tensor:
            return cells.view(count, height, width, -1).permute(0, 3, 1, 2)

        start, centres = (_cells(positions(context)).repeat(count, 1) for _ in range(2))
        flow = torch.zeros_like(start)
        seen_before = context[:, _HIDDEN:].relu().contiguous(memory_format=torch.channels_last)
        fixed = [gates.fixed(seen_before) for gates in self._gates]
        # What the first two gates see, and what the third sees: the hidden state, what moves, the flow.
        wide, reset = (context.new_empty((len(start), _HIDDEN + _MOTION + 2)) for _ in range(2))
        state, kept = wide[:, :_HIDDEN], reset[:, :_HIDDEN]
        motions, flows = (
            [both[:, _HIDDEN:-2] for both in (wide, reset)],
            [both[:, -2:].zero_() for both in (wide, reset)],
        )
        torch.tanh(_cells(context[:, :_HIDDEN]), out=state)
        hidden = state
        for _ in range(iterations):
            looked = look_up(levels, images(centres), RADIUS)
            for part in self._correlation:
                looked = part.rectified(looked)
            moved = images(flow)
            for part in self._flow:
                moved = part.rectified(moved)
            _place(_cells(self._of_flow.rectified(moved, self._of_correlation(looked))), *motions)
            for gates, shares, blend in zip(self._gates, fixed, (_blend, _blend_and_return), strict=True):
                update, forget = _cells(gates.opened(images(wide))).chunk(2, dim=1)
                _reset(forget, shares[1], state, kept)
                candidate = _cells(gates.candidate(images(reset)))
                hidden = blend(update, shares[0], candidate, shares[2], state)
            change = self._head[1](self._head[0].rectified(images(hidden)))
            flow = _step(_cells(change), centres, start, *flows)
        return images(flow), images(hidden)


class _Gates:
    """The three convolutions of a gated recurrent unit, along one axis, split by what they see."""

    def __init__(self, weights: Mapping[str, torch.Tensor], name: str) -> None:
        parts = [weights[f"{name}.conv{gate}.weight"] for gate in "zrq"]
        own, context, motion = torch.cat(parts).split([_HIDDEN, _HIDDEN, _MOTION + 2], dim=1)
        bias = torch.cat([weights[f"{name}.conv{gate}.bias"] for gate in "zrq"])
        self._context = Convolution(context, bias)
        changing = torch.cat([own, motion], dim=1)
        self.opened = Convolution(changing[: 2 * _HIDDEN])
        self.candidate = Convolution(changing[2 * _HIDDEN :])

    def fixed(self, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what each of the three makes of the context, biases included: a row for each cell."""
        return _cells(self._context(context)).chunk(3, dim=1)


def _cells(images: torch.Tensor) -> torch.Tensor:
    """Return ``(N * h * w, C)``, a view where the channels of a cell lie together."""
    return images.permute(0, 2, 3, 1).flatten(0, 2)


@OnePass
def _place(motion: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    first.copy_(motion)
    second.copy_(motion)


@OnePass
def _reset(forget: torch.Tensor, share: torch.Tensor, hidden: torch.Tensor, out: torch.Tensor) -> None:
    out.copy_((forget + share).sigmoid_().mul_(hidden))


def _mixed(
    update: torch.Tensor,
    update_share: torch.Tensor,
    candidate: torch.Tensor,
    candidate_share: torch.Tensor,
    hidden: torch.Tensor,
) -> torch.Tensor:
    return torch.lerp(hidden, (candidate + candidate_share).tanh_(), (update + update_share).sigmoid_())


@OnePass
def _blend(
    update: torch.Tensor,
    update_share: torch.Tensor,
    candidate: torch.Tensor,
    candidate_share: torch.Tensor,
    hidden: torch.Tensor,
) -> torch.Tensor:
    return hidden.copy_(_mixed(update, update_share, candidate, candidate_share, hidden))


@OnePass
def _blend_and_return(
    update: torch.Tensor,
    update_share: torch.Tensor,
    candidate: torch.Tensor,
    candidate_share: torch.Tensor,
    hidden: torch.Tensor,
) -> torch.Tensor:
    # In what is returned the state lies alone, so that a convolution takes it without a copy.
    new = _mixed(update, update_share, candidate, candidate_share, hidden)
    hidden.copy_(new)
    return new


@OnePass
def _step(
    change: torch.Tensor, centres: torch.Tensor, start: torch.Tensor, first: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    flow = centres.add_(change) - start
    first.copy_(flow)
    second.copy_(flow)
    return flow
