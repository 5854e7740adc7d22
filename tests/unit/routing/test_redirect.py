import pytest

from gateway.errors import NotValid
from gateway.routing.redirect import BY_STAFF, route_to
from gateway.routing.rules import RuleSet, load
from gateway.xml.shipped import shipped


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return load((shipped("routing_rules"),))


def test_party_is_found_by_any_spelling_and_reached_at_its_own_address(rules: RuleSet) -> None:
    route = route_to(rules, "MARD", "")

    assert (route.party.code, route.name, route.order) == ("BNN", BY_STAFF, "none")


def test_route_is_found_by_its_name_with_or_without_its_party(rules: RuleSet) -> None:
    known = next(iter(rules.routes.values()))

    assert route_to(rules, "", known.name) == route_to(rules, known.party.code, known.name) == known


@pytest.mark.parametrize(
    ("party", "name", "text"),
    [
        ("NOBODY", "", "mending.unknown-party"),
        ("", "nowhere", "mending.unknown-route"),
        ("", "", "mending.unknown-route"),
        ("BNN", "nowhere", "mending.unknown-route"),
    ],
)
def test_what_the_rules_do_not_know_is_refused(rules: RuleSet, party: str, name: str, text: str) -> None:
    with pytest.raises(NotValid) as refused:
        route_to(rules, party, name)

    assert refused.value.problems[0].text == text


def test_route_of_another_party_is_refused(rules: RuleSet) -> None:
    known = next(iter(rules.routes.values()))
    other = next(party for party in rules.parties if party.adapter and party.code != known.party.code)

    with pytest.raises(NotValid):
        route_to(rules, other.code, known.name)
