"""Collects what `nsw verify` finds, check by numbered check, and judges whom a signature of any kind is trusted for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lxml.etree import _Element

from gateway.errors import GatewayError, NotProven, Problem

from . import revocation
from .certificates import Certificate
from .policy import PERSON, Place
from .question import Question, check_status, is_registered, trusted_path
from .report import Check, SignatureReport

T = TypeVar("T")


@dataclass(slots=True)
class Checks:
    """Collects checks; a failed one does not stop those that do not need its result."""

    done: list[Check] = field(default_factory=list)

    def run(self, step: Callable[[], T], *numbers: int, **seen: str) -> T | None:
        """Run a step that stands for numbered checks; where it is refused, the check it names has failed, and the others are not known."""
        try:
            result = step()
        except NotProven as refused:
            problem = refused.problems[0]
            self.done.append(Check(number=int(problem.values["check"]), passed=False, detail=problem))
            return None
        except GatewayError as refused:
            self.done.append(Check(number=numbers[0], passed=False, detail=refused.problems[0]))
            return None
        for number in numbers:
            self.passed(number, **seen)
        return result

    def passed(self, number: int, **seen: str) -> None:
        """Note a check that passed, and what was seen."""
        self.done.append(Check(number=number, passed=True, detail=Problem(text=f"signature.passed-{number}", values=seen)))

    def report(self, place: str, signer: Certificate | None, covers: Sequence[str]) -> SignatureReport:
        """Close the collection."""
        checks = tuple(sorted(self.done, key=lambda c: c.number))
        return SignatureReport(place=place, signer=signer.subject if signer else None, covers=tuple(covers), checks=checks)


def judge_trust(
    checks: Checks, leaf: Certificate, others: tuple[Certificate, ...], at: _Element | None, place: Place | None, question: Question
) -> None:
    """Judge whether the signer is trusted: by --trust where given, else by the registry for this place."""
    issuers = (*others, *question.untrusted)
    found = checks.run(lambda: trusted_path(leaf, issuers, question, place=place, at=at), 18, 19, subject=leaf.subject)
    if not found:
        return
    if question.party and place is not PERSON and is_registered(leaf, question):
        checks.passed(23, sender=question.party)
    if question.crls:
        checks.run(lambda: revocation.check(found, question.crls, at=question.at, place=at), 24)
    known = checks.run(lambda: check_status(found, question, at))
    if known is not None:
        checks.passed(60, subject=leaf.subject)
        text = "signature.passed-61" if known else "signature.passed-61-unknown"
        checks.done.append(Check(number=61, passed=True, detail=Problem(text=text, values={"subject": leaf.subject})))
