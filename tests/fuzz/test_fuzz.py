"""Changed signed documents of every profile: each is refused, or proves exactly what was signed; 10,000 of each in the slow tier."""

import shutil
from collections.abc import Mapping

import pytest

from gateway.errors import GatewayError
from tests.fuzz.play import play
from tests.fuzz.profiles import MAKERS, Case, cases

FEW, MANY = 300, 10_000
NAMES = [name for name in MAKERS if name != "xades-b-lt" or shutil.which("openssl")]  # its time-stamps are OpenSSL's


@pytest.fixture(scope="module")
def made() -> Mapping[str, Case]:
    return cases(tuple(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_changed_document_is_refused_or_means_what_was_signed(made: Mapping[str, Case], name: str) -> None:
    figures = play(name, made[name], seed=1, rounds=FEW)

    assert figures.violations == []
    assert figures.refused > figures.inputs // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_changed_documents_are_refused_or_mean_what_was_signed(made: Mapping[str, Case], name: str) -> None:
    figures = play(name, made[name], seed=2, rounds=MANY)

    assert figures.violations == []


def test_a_verifier_that_takes_anything_is_found_out(made: Mapping[str, Case]) -> None:
    blind = Case(signed=made["xmldsig"].signed, prove=lambda data: data)

    assert len(play("xmldsig", blind, seed=1, rounds=50).violations) > 40


def test_a_verifier_that_breaks_is_found_out(made: Mapping[str, Case]) -> None:
    signed = made["xmldsig"].signed

    def broken(data: bytes) -> object:
        if data == signed:
            return b""
        raise KeyError

    assert all("KeyError" in v for v in play("xmldsig", Case(signed=signed, prove=broken), seed=1, rounds=50).violations)
    with pytest.raises(GatewayError):
        made["xmldsig"].prove(b"<a/>")
