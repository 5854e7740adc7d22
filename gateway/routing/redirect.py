"""Where staff may send a message instead: any route of the rules, or any party that has an adapter."""

from gateway.errors import Code, NotValid, Problem
from gateway.model import Route

from .ruleset import RuleSet
from .suggest import nearest

BY_STAFF = "redirected"  # the route of a delivery that no rule chose


def route_to(rules: RuleSet, party: str, name: str) -> Route:
    """Find a route by its name, its party's code or alias, or both; raises NotValid where there is none."""
    found = rules.party(party) if party else None
    if party and (found is None or not found.adapter):
        known = sorted(each.code for each in rules.parties if each.adapter)
        raise NotValid(Code.NO_ROUTE, Problem(text="mending.unknown-party", values={"party": party, "known": ", ".join(known)}))
    if found is not None and not name:
        return Route(name=BY_STAFF, party=found, transport="http", endpoint=found.endpoint, timeout=found.limits.timeout)
    route = rules.routes.get(name)
    if route is None or (found is not None and route.party.code != found.code):
        raise NotValid(Code.NO_ROUTE, Problem(text="mending.unknown-route", values={"route": name, "near": nearest(name, rules.routes)}))
    return route
