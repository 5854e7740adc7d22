"""The adapter suite, over every adapter that is installed."""

from importlib.metadata import entry_points

import pytest

from gateway.testing import builders
from gateway.testing.conformance.adapter_suite import CHECKS, Subject

NAMES = sorted(entry_points(group="nsw_gateway.adapters").names)


@pytest.fixture(scope="module", params=[(name, signature) for name in NAMES for signature in ("none", "xmldsig")], ids="-".join)
def subject(request: pytest.FixtureRequest) -> Subject:
    name, signature = request.param
    party = builders.party("PARTNER", adapter=name, signature=signature)
    return Subject(
        name=name,
        adapter=entry_points(group="nsw_gateway.adapters")[name].load(),
        route=builders.route(party, endpoint="http://agency.test/ws"),
        envelopes=[builders.envelope(kind) for kind in builders.KINDS],
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_adapter(check: object, subject: Subject) -> None:
    assert callable(check)

    check(subject)


def test_an_adapter_is_discovered_for_each_shipped_agency() -> None:
    assert {"agriculture", "customs", "ephyto_hub", "portal"} <= set(NAMES)
