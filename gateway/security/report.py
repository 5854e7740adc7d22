"""What `nsw verify` finds, check by numbered check, in words of two languages and as JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.errors import Code, Problem, explain

NAMES = MappingProxyType({
    1: "place", 2: "slot", 3: "ids", 4: "parts", 5: "canonicalization", 6: "signature-method", 7: "references", 8: "target",
    9: "transforms", 10: "digest-method", 11: "key-info", 12: "key", 13: "signature-value", 14: "value-prefixes", 15: "signature",
    16: "digest", 17: "validity", 18: "trust", 19: "key-usage", 20: "sender-known", 21: "channel", 22: "profile", 23: "signer-is-sender",
    24: "revocation", 25: "second-opinion", 26: "reply", 27: "properties-signed", 28: "properties", 29: "signing-certificate",
    30: "signing-time", 31: "time-stamp", 32: "validation-data", 40: "wss-header", 41: "wss-token", 42: "wss-reference",
    43: "wss-covered", 44: "wss-time", 50: "cms-form", 51: "cms-algorithm", 52: "cms-signer",
    53: "cms-attributes", 54: "cms-digest", 55: "cms-signature", 60: "revoked-known", 61: "status-unknown",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One numbered check of docs/protocol/SIG.md: whether it passed, and what was seen or what is wrong."""

    number: int
    passed: bool
    detail: Problem

    @property
    def name(self) -> str:
        """The check's public name."""
        return NAMES[self.number]

    def title(self, language: str) -> str:
        """What the check asks, in words."""
        return explain(Problem(text=f"signature.check-{self.number}"), language)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureReport:
    """What was found of one signature, which stands at `place`; `covers` are XPaths.

    `profile` is that of a system's signature, as parties.toml names it.
    """

    place: str
    signer: str | None
    covers: tuple[str, ...]
    checks: tuple[Check, ...]
    profile: str = ""

    @property
    def valid(self) -> bool:
        """Whether every check passed."""
        return all(c.passed for c in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found of a file; `problems` are those that belong to no single signature."""

    signatures: tuple[SignatureReport, ...]
    problems: tuple[Problem, ...] = ()
    refused: Code | None = None  # why nothing could be verified at all

    @property
    def code(self) -> Code | None:
        """Why the file is not valid; None where it is."""
        failed = not self.signatures or self.problems or not all(s.valid for s in self.signatures)
        return self.refused or (Code.SIGNATURE if failed else None)

    @property
    def valid(self) -> bool:
        """Whether there is a signature, and every one of them passes."""
        return self.code is None

    def as_json(self, *, spell: Callable[[Code], str] = str, language: str = "vi") -> dict[str, Any]:
        """Give the document that `nsw verify --json` prints; `spell` gives a code as the protocol writes it."""
        return {
            "valid": self.valid,
            "code": None if self.code is None else spell(self.code),
            "signatures": [_signature(s, language) for s in self.signatures],
        }


def _signature(report: SignatureReport, language: str) -> dict[str, Any]:
    checks = [{"number": c.number, "name": c.name, "passed": c.passed, "detail": explain(c.detail, language)} for c in report.checks]
    return {"valid": report.valid, "signer": report.signer, "covers": list(report.covers), "checks": checks}
