"""Einsum as a chain of transposes, reshapes and one `matmul` per pair of operands.

For `A, B -> out`: letters in both and in the result are batch, letters in both and not in the result are contracted,
the rest stay left or right. Each operand becomes [batch, left, contracted] or [batch, contracted, right], of rank 3
whatever the letters are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from edgevision.targets.coreml.lowering.indexing import take
from edgevision.targets.coreml.lowering.shaping import broadcast_to
from edgevision.targets.coreml.lowering.table import Call, MilVar, lowers

__all__: list[str] = []

_SPARE = "ABCDE"  # letters for the axes that an ellipsis stands for


@lowers("Einsum")
def _einsum(call: Call) -> MilVar:
    operands = call.vars()
    terms, result = _parse(call, call.text("equation", ""), operands)
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, dim in zip(term, operand.shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), dim)
    pairs = [_diagonal(operand, term) for operand, term in zip(operands, terms, strict=True)]
    while len(pairs) > 1:
        (x, a), (y, b), *rest = pairs
        later = set(result).union(*(term for _, term in rest))
        pairs = [_contract(x, a, y, b, later, sizes), *rest]
    x, term = _summed(*pairs[0], set(result))
    x = _arranged(x, term, result)
    return mb.identity(x=x) if x is call.inputs[0] else x


def _parse(call: Call, equation: str, operands: Sequence[MilVar]) -> tuple[list[str], str]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise call.refuse(f"equation {equation!r} does not fit its operands", "correct it", attribute="equation")
    most = max(
        (operand.rank - len(term.replace("...", "")) for term, operand in zip(terms, operands, strict=True)), default=0
    )
    spread = []
    for term, operand in zip(terms, operands, strict=True):
        count = operand.rank - len(term.replace("...", ""))
        spread.append(term.replace("...", _SPARE[most - count : most]))
    if arrow:
        return spread, right.replace("...", _SPARE[:most])
    letters = "".join(spread)
    implicit = sorted(letter for letter in set(letters) - set(_SPARE) if letters.count(letter) == 1)
    return spread, _SPARE[:most] + "".join(implicit)


def _diagonal(x: MilVar, term: str) -> tuple[MilVar, str]:
    """`x` with repeated letters reduced to their diagonal: rows 0, n + 1, 2 (n + 1), ... of the two axes merged."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first, second = (position for position, other in enumerate(term) if other == letter)
            rest = [axis for axis in range(x.rank) if axis not in (first, second)]
            size = x.shape[first]
            x = mb.transpose(x=x, perm=[*rest, first, second])
            x = mb.reshape(x=x, shape=[*x.shape[:-2], size * size])
            x = take(x, list(range(0, size * size, size + 1)), x.rank - 1)
            term = "".join(term[axis] for axis in rest) + letter
    return x, term


def _summed(x: MilVar, term: str, keep: set[str]) -> tuple[MilVar, str]:
    gone = [axis for axis, letter in enumerate(term) if letter not in keep]
    if not gone:
        return x, term
    return mb.reduce_sum(x=x, axes=gone, keep_dims=False), "".join(letter for letter in term if letter in keep)


def _arranged(x: MilVar, term: str, order: str) -> MilVar:
    perm = [term.index(letter) for letter in order]
    return x if perm == list(range(len(perm))) else mb.transpose(x=x, perm=perm)


def _contract(x: MilVar, a: str, y: MilVar, b: str, later: set[str], sizes: dict[str, int]) -> tuple[MilVar, str]:
    x, a = _summed(x, a, later | set(b))
    y, b = _summed(y, b, later | set(a))
    x, y = _widened(x, a, b, sizes), _widened(y, b, a, sizes)
    batch = "".join(letter for letter in a if letter in b and letter in later)
    inner = "".join(letter for letter in a if letter in b and letter not in later)
    left = "".join(letter for letter in a if letter not in b)
    right = "".join(letter for letter in b if letter not in a)

    def count(letters: str) -> int:
        return prod(sizes[letter] for letter in letters)

    x = mb.reshape(x=_arranged(x, a, batch + left + inner), shape=[count(batch), count(left), count(inner)])
    y = mb.reshape(x=_arranged(y, b, batch + inner + right), shape=[count(batch), count(inner), count(right)])
    product, letters = mb.matmul(x=x, y=y), batch + left + right
    return mb.reshape(x=product, shape=[sizes[letter] for letter in letters] or [1]), letters


def _widened(x: MilVar, term: str, other: str, sizes: dict[str, int]) -> MilVar:
    """`x` with the axes it shares repeated to full size (an ellipsis broadcasts)."""
    shape = [sizes[letter] if letter in other else dim for letter, dim in zip(term, np.asarray(x.shape), strict=True)]
    return x if list(x.shape) == shape else broadcast_to(x, [int(dim) for dim in shape])
