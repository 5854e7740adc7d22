"""Changes a signed document over and over, and counts what became of it."""

import random
import resource
import time
from dataclasses import dataclass, field

from lxml import etree

from gateway.errors import GatewayError
from gateway.testing.changes import CHANGES, OF_DER, by_byte

from .profiles import Case

MOST_SECONDS = 1.0  # of one input
MOST_BYTES = 50 * 1024 * 1024  # that a run may grow by
SPURIOUS = (ValueError, etree.LxmlError)  # of a change that cannot be made of this document


@dataclass(slots=True)
class Figures:
    """What became of the inputs; `violations` name the round, so that a seed shows each again."""

    inputs: int = 0
    refused: int = 0
    same: int = 0
    slowest: float = 0.0
    violations: list[str] = field(default_factory=list)


def play(name: str, case: Case, *, seed: int, rounds: int) -> Figures:
    """Play so many rounds of a seed: each input is refused by a GatewayError, or proves exactly what was signed."""
    meant, figures = case.prove(case.signed), Figures()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(rounds):
        data = _changed(random.Random(f"{name}/{seed}/{number}"), case.signed)  # noqa: S311  # a repeatable draw
        if data != case.signed:
            _judge(figures, case, data, meant, f"{name} seed {seed} round {number}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    if grown > MOST_BYTES:
        figures.violations.append(f"{name} seed {seed}: grew by {grown} bytes")
    return figures


def _changed(draw: random.Random, signed: bytes) -> bytes:
    kinds = {b"<": CHANGES, b"0": OF_DER}.get(signed.lstrip()[:1], (by_byte,))
    try:
        change = draw.choice(kinds)
        return change(draw, signed)
    except (GatewayError, *SPURIOUS):
        return by_byte(draw, signed)


def _judge(figures: Figures, case: Case, data: bytes, meant: object, place: str) -> None:
    figures.inputs += 1
    began = time.perf_counter()
    try:
        found = case.prove(data)
    except GatewayError:
        figures.refused += 1
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        figures.violations.append(f"{place}: {type(error).__name__} left verification")
    else:
        figures.same += 1
        if found != meant:
            figures.violations.append(f"{place}: proved what was not signed")
    took = time.perf_counter() - began
    figures.slowest = max(figures.slowest, took)
    if took > MOST_SECONDS:
        figures.violations.append(f"{place}: took {took:.1f} s")
