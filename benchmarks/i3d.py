"""Time of I3D on one clip as a ratio to the plain module at batch 1, and to what the processor can multiply.

    OMP_NUM_THREADS=1 python -m benchmarks.i3d [--frames 16] [--turns 7] [--device cuda]

The plain module is the network as the paper draws it: a convolution, batch norm and ReLU after one another in each
unit, one unit after the other. Both get the same stand-in weights and the same clip and take turns in one process;
times are CPU time (on a GPU: wall clock, synchronised), the shortest of several turns. The floor is the time of as
many multiplications in one square float32 matrix product, the fastest that the same library does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from pytest_vidmetrics.networks.i3d import InceptionI3d

GFLOP = {16: 55.58, 64: 222.3}
"""Work of one clip of 224x224, by its frames, where it was counted."""

_POOL = {
    "2a": ((1, 3, 3), (1, 2, 2)),
    "3a": ((1, 3, 3), (1, 2, 2)),
    "4a": ((3, 3, 3), (2, 2, 2)),
    "5a": ((2,) * 3,) * 2,
}
_MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}


def same(x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """Pad so that ``ceil(size / stride)`` outputs fit, the larger half behind."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        total = max(k - s if size % s == 0 else k - size % s, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, width: int, out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(width, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map of the unit."""
        padded = same(x, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(padded)))


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, width: int, b0: int, b1a: int, b1b: int, b2a: int, b2b: int, b3b: int) -> None:
        super().__init__()
        self.b0 = Unit(width, b0)
        self.b1a, self.b1b = Unit(width, b1a), Unit(b1a, b1b, 3)
        self.b2a, self.b2b = Unit(width, b2a), Unit(b2a, b2b, 3)
        self.b3b = Unit(width, b3b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the stacked maps."""
        pooled = F.max_pool3d(same(x, (3, 3, 3), (1, 1, 1)), 3, 1)
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class Plain(nn.Module):
    """The whole network up to the pooled features."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, widths in _MIXED.items():
            self.add_module(f"Mixed_{name}", Mixed(*widths))
        self.logits = nn.Module()
        self.logits.conv3d = nn.Conv3d(1024, 400, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1024)`` for ``(N, 3, T, 224, 224)``."""
        x = self._pool(self.Conv3d_1a_7x7(x), "2a")
        x = self._pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), "3a")
        for name in _MIXED:
            if f"{name[0]}a" in _POOL and name.endswith("b") and name != "3b":
                x = self._pool(x, f"{name[0]}a")
            x = self.get_submodule(f"Mixed_{name}")(x)
        return F.avg_pool3d(x, (2, 7, 7), stride=1).mean(dim=(2, 3, 4))

    def _pool(self, x: torch.Tensor, name: str) -> torch.Tensor:
        kernel, stride = _POOL[name]
        return F.max_pool3d(same(x, kernel, stride), kernel, stride)


def stand_in(seed: int = 0) -> Plain:
    """Return the plain module with weights that keep the variance from layer to layer."""
    module = Plain().eval()
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            part.weight.data.normal_(0.0, (2.0 / part.weight[0].numel()) ** 0.5, generator=generator)
            if part.bias is not None:
                part.bias.data.zero_()
        if isinstance(part, nn.BatchNorm3d):
            part.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
            part.running_mean.normal_(0.0, 0.1, generator=generator)  # type: ignore[union-attr]
            part.bias.data.normal_(0.0, 0.1, generator=generator)
    return module.requires_grad_(False)


def seconds(works: dict[str, Callable[[], object]], turns: int, device: str) -> dict[str, float]:
    """Return the shortest time of each, taking turns, after one turn that does not count."""
    clock = time.perf_counter if device != "cpu" else time.process_time
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns + 1):
        for name, work in works.items():
            start = clock()
            work()
            if device != "cpu":
                torch.cuda.synchronize()
            times[name].append(clock() - start)
    return {name: min(kept[1:]) for name, kept in times.items()}


def main() -> None:
    """Print the times, the ratio and the distance to the floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16, choices=sorted(GFLOP))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    module = stand_in()
    ours = InceptionI3d(module.state_dict(), device=args.device)
    module = module.to(args.device)
    clip = torch.rand(3, args.frames, 224, 224, generator=torch.Generator().manual_seed(1)).mul(2).sub(1)
    clip = clip.to(args.device)
    side = 2048
    square = torch.rand(side, side, device=args.device)

    def plain() -> torch.Tensor:
        with torch.inference_mode():
            return module(clip[None])[0].cpu()

    found = seconds(
        {"plain": plain, "ours": lambda: ours.features(clip), "product": lambda: square @ square},
        args.turns,
        args.device,
    )
    expected, result = plain().double(), ours.features(clip)
    rate = 2e-9 * side**3 / found["product"]
    floor = GFLOP[args.frames] / rate
    print(f"{args.device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {args.frames} frames")
    print(
        f"plain {1e3 * found['plain']:.0f} ms, ours {1e3 * found['ours']:.0f} ms: {found['plain'] / found['ours']:.2f}x"
    )
    print(f"matrix product {rate:.0f} GFLOP/s: floor {1e3 * floor:.0f} ms, ours {found['ours'] / floor:.2f} times that")
    print(f"largest difference, relative: {float((result - expected).abs().max() / expected.abs().max()):.0e}")


if __name__ == "__main__":
    main()
