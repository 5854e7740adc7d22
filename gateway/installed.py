"""What an installation has, without the running gateway: adapters, schemas, rules, the door, its key. Quick to import, for commands."""

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from .config import Settings
from .errors import Code, Problem, Unavailable
from .model import Party
from .ports import Adapter
from .protocols.vnsw.dialects import DIALECTS
from .protocols.vnsw.door import VnswDoor
from .routing.rules import Rules, RuleSet, load
from .security.ownkey import OwnKey, Unlocking
from .store.times import utc
from .xml.schemas import Schemas
from .xml.shipped import shipped

ADAPTERS = "nsw_gateway.adapters"


def now() -> datetime:
    """Give the present, aware, in UTC."""
    return utc()


def discover() -> dict[str, Adapter]:
    """Load every adapter that is installed, by its entry point's name; raises Unavailable where one cannot be loaded."""
    return {point.name: _loaded(point) for point in entry_points(group=ADAPTERS)}


def _loaded(point: EntryPoint) -> Adapter:
    try:
        adapter: Adapter = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        values = {"name": point.name, "place": point.value, "cause": str(error)}
        raise Unavailable(Code.UNAVAILABLE, Problem(text="adapters.broken", path=point.value, values=values)) from error
    return adapter


def load_schemas(settings: Settings) -> Schemas:
    """Load the schemas in force: the installation's own before the shipped ones."""
    return Schemas.load(_present(settings.schema_folder, shipped("xsd")))


def known_parties(settings: Settings) -> tuple[Party, ...]:
    """Read who the parties are, without checking the rules against schemas and adapters; raises RulesInvalid."""
    return read_rules(settings).parties


def read_rules(settings: Settings) -> RuleSet:
    """Read the rules in force, without checking them against schemas and adapters; raises RulesInvalid."""
    return load((settings.rule_folder, shipped("routing_rules")))


def load_rules(settings: Settings, schemas: Schemas, adapters: Mapping[str, Adapter]) -> Rules:
    """Load the rules in force and check them against schemas and adapters; raises RulesInvalid."""
    return Rules((settings.rule_folder, shipped("routing_rules")), schemas=schemas.names(), adapters=frozenset(adapters))


def open_door(rules: Callable[[], RuleSet], adapters: Mapping[str, Adapter], *, sign: Callable[[bytes, str], bytes]) -> VnswDoor:
    """Open the VNSW door in every dialect: the field's, and those that adapters bring."""
    brought = tuple(dialect for adapter in adapters.values() for dialect in getattr(adapter, "dialects", ()))
    return VnswDoor(DIALECTS + brought, rules=rules, zone=rules().zone, sign=sign)


def own_key(settings: Settings) -> OwnKey:
    """Say where the gateway's own key lies and how it is unlocked; reads nothing yet."""
    unlocking = Unlocking(given=settings.key_pin, file=settings.key_pin_file, credentials=settings.credentials)
    return OwnKey(settings.pki, settings.key, unlocking=unlocking)


def _present(*folders: Path) -> tuple[Path, ...]:
    return tuple(folder for folder in folders if folder.is_dir())
