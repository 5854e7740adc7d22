"""What is installed here, as commands need it: settings, schemas, rules, adapters."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.installed import discover, load_rules, load_schemas, open_door
from gateway.ports import Adapter, Inbound
from gateway.routing.ruleset import RuleSet
from gateway.xml.schemas import Schemas

from .output import refuse, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One consistent set of what is installed."""

    settings: Settings
    adapters: Mapping[str, Adapter]
    schemas: Schemas
    rules: RuleSet

    def door(self) -> Inbound:
        """Open the SOAP door, for reading only: nothing is signed through it."""
        return open_door(lambda: self.rules, self.adapters, sign=lambda document, _: document)


def installation(*, as_json: bool) -> Installation:
    """Load what is installed; ends with 3 and everything that is wrong with it where it is not in order."""
    chosen, adapters = settings(), discover()
    try:
        schemas = load_schemas(chosen)
        rules = load_rules(chosen, schemas, adapters).current
    except GatewayError as error:
        refuse(error, as_json=as_json, ours=True)
    return Installation(settings=chosen, adapters=adapters, schemas=schemas, rules=rules)
