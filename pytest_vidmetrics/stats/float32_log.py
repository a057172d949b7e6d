"""The decimal logarithm of a float32 as numpy rounds it on a CPU with AVX-512, computed alike on every CPU.

FastVideo's ``flow_kl_2d`` ends its bins at such a logarithm, whose last bit decides whether the fastest pixel is in
one. Its value therefore depends on the CPU; the recorded ones were made with AVX-512. There numpy (1.22 and later)
evaluates one of sixteen polynomials with fused float32 steps. The coefficients are those of numpy's build (SVML,
BSD-3-Clause, third_party/svml.md); the arithmetic here is our own, exact, and rounds once per step. A correctly rounded
logarithm would be a better one and would miss seven recorded values: only ``protocol = "fastvideo"`` uses this.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

_COEFFICIENTS: npt.NDArray[Any] = np.frombuffer(
    bytes.fromhex(
        "bdc9ae9bbda6fcf4bd8bac76bd6bca30bd48a99bbd2c0a9fbd1480dbbd00faf2"
        "be823aa9be656348be4afbb9be346895be20ffffbe103a0bbe01a91cbde9e84e"
        "3e13d8883e10a87c3e0b95c33e057f0b3dfde0383df080d93de34c1e3dd68333"
        "3dac6e8e3dd54a513df30f403e04235d3e0b70333e102c903e12ebad3e141ff8"
        "be5e5a9bbe5e2677be5d83f5be5c6016be5abd0bbe58a6fdbe562e02be5362f8"
        "be68e27cbe646747be619a73be5ff05abe5f0570be5e92d0be5e662bbe5e5c08"
        "3ede5bd83ede5b453ede57d83ede4eb13ede3d373ede21663eddf9d93eddc5bb"
        "3ede08ed3ede32e73ede49673ede54903ede597f3ede5b503ede5bca3ede5bd9"
    ),
    ">f4",
).reshape(4, 16)
"""Of ``r**4`` down to ``r``, where the number is ``(1 + r) * 2**n``; one column per sixteenth of an octave."""
_OCTAVE = np.float32(np.log10(2.0))


def log10_avx512(number: np.float32) -> np.float32:
    """Return the decimal logarithm of a finite ``number`` of at least 2**-126, off by a few units in the last place."""
    mantissa, exponent = np.frexp(number)  # the mantissa is in [0.5, 1)
    # The four bits below the leading one: which sixteenth of its octave the mantissa is in.
    column = int(mantissa.view(np.uint32)) >> 19 & 15
    # The polynomials are around 1: below 0.75 the mantissa is doubled, so that |r| stays below one half.
    if mantissa < 0.75:
        mantissa, exponent = mantissa * np.float32(2), exponent - 1
    rest = Fraction(float(mantissa)) - 1
    terms = [Fraction(float(c)) for c in _COEFFICIENTS[:, column]]
    terms.append(Fraction(float(np.float32(exponent) * _OCTAVE)))
    value = terms[0]
    # Horner's rule; each step is one fused multiply-add, so that it rounds once.
    for term in terms[1:]:
        value = Fraction(float(_rounded(value * rest + term)))
    return np.float32(value)


def _rounded(exact: Fraction) -> np.float32:
    """Return the float32 nearest to ``exact``, the even one of two: rounding to float64 first may err."""
    near = np.float32(float(exact))
    around = (near, np.nextafter(near, np.float32(inf)), np.nextafter(near, np.float32(-inf)))
    return min(around, key=lambda f: (abs(Fraction(float(f)) - exact), int(f.view(np.uint32)) & 1))
