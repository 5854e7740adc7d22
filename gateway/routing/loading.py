"""Loads the TOML files into a RuleSet, or says everything that is wrong with them at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from gateway.errors import Code, GatewayError, Problem
from gateway.model import Party, Route

from .catalogue import Surroundings, make_procedure, procedure_faults
from .conditions import Conditions
from .forms import EndpointsForm, Form, MorePartiesForm, PartiesForm, ProcedureForm, RulesForm, fill, read_zone
from .parties import Entry, endpoint_faults, make_own, make_party, party_faults
from .procedures import Procedure
from .ruleset import RuleSet
from .sources import Fault, Source, discover, read, version_of
from .suggest import nearest

FORMS: Mapping[str, type[Form]] = {
    "rules.toml": RulesForm,
    "parties.toml": PartiesForm,
    "endpoints.toml": EndpointsForm,
    "parties/*.toml": MorePartiesForm,
    "procedures/*/*.toml": ProcedureForm,
}
REQUIRED = ("rules.toml", "parties.toml")

F = TypeVar("F", bound=Form)


class RulesInvalid(GatewayError):
    """The files do not make a set of rules; the problems are all there are, each with file, place and accepted form."""

    def __init__(self, *problems: Problem) -> None:
        """Keep the problems; at least one."""
        super().__init__(Code.RULES, *problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A file whose form is sound."""

    source: Source
    form: Form


def load(folders: Sequence[Path], *, schemas: Collection[str] | None = None, adapters: Collection[str] | None = None) -> RuleSet:
    """Load the files of some folders, the first folder's winning file by file; raises RulesInvalid.

    `schemas` and `adapters` are the names that exist; without them such names are not judged. Runs no examples: check() does.
    """
    sources, problems = _sources(folders)
    filled: list[_Filled] = []
    for source in sources:
        form = _form_of(source)
        if isinstance(form, Form):
            filled.append(_Filled(source=source, form=form))
        else:
            problems.extend(map(source.problem, form))
    rules, parties = _first(filled, RulesForm), _first(filled, PartiesForm)
    if rules is None or parties is None:
        raise RulesInvalid(*problems)
    return _assemble(filled, problems, (rules, parties), schemas=schemas, adapters=adapters)


def _assemble(
    filled: list[_Filled],
    problems: list[Problem],
    basics: tuple[RulesForm, PartiesForm],
    *,
    schemas: Collection[str] | None,
    adapters: Collection[str] | None,
) -> RuleSet:
    """Judge what no single file shows, and make the set."""
    rules, declared = basics
    entries = list(_entries(filled))
    problems += [source.problem(fault) for source, fault in party_faults(entries, declared.gateway.code, adapters)]
    problems += _endpoint_problems(filled, [entry.form.code for entry in entries])
    zone = read_zone(declared.gateway.zone)
    endpoints = {code: address for _, form in _all(filled, EndpointsForm) for code, address in form.endpoints.items()}
    parties = {e.form.code: make_party(e.form, endpoint=endpoints.get(e.form.code, ""), zone=zone) for e in entries}
    around = Surroundings(parties=parties, schemas=schemas, zone=zone, conditions=Conditions())
    procedures, found = _procedures(filled, around)
    if problems := [*problems, *found]:
        raise RulesInvalid(*problems)
    own, version = make_own(declared.gateway), f"{rules.version}+{version_of([f.source for f in filled])}"
    return RuleSet(
        version=version,
        stamp=f"{version} {rules.valid_from}/{rules.valid_to or '..'}",
        own=own,
        zone=zone,
        parties=tuple(parties.values()),
        procedures=tuple(procedures),
        spellings=_spellings([own, *parties.values()]),
        catalogue=_catalogue(procedures),
        routes=_routes(procedures),
    )


# --- files and their forms ---------------------------------------------------------------------------------------------


def _sources(folders: Sequence[Path]) -> tuple[list[Source], list[Problem]]:
    files = discover(folders)
    results = [read(name, path) for name, path in sorted(files.items())]
    missing = [Problem(text="routing.file-missing", path=str(folders[-1] / name)) for name in REQUIRED if name not in files]
    return [r for r in results if isinstance(r, Source)], [*missing, *(r for r in results if isinstance(r, Problem))]


def _form_of(source: Source) -> Form | list[Fault]:
    form = next((form for pattern, form in FORMS.items() if _fits(source.name, pattern)), None)
    if form is not None:
        return fill(form, source.table)
    values = {"name": source.name, "near": nearest(source.name, FORMS), "known": ", ".join(FORMS)}
    return [Fault(place=(), text="file-unknown", values=values)]


def _fits(name: str, pattern: str) -> bool:
    """Compare like a shell, but a `*` does not cross a slash."""
    return name.count("/") == pattern.count("/") and Path(name).match(pattern)


def _all(filled: Iterable[_Filled], kind: type[F]) -> Iterator[tuple[Source, F]]:
    return ((f.source, f.form) for f in filled if isinstance(f.form, kind))


def _first(filled: Iterable[_Filled], kind: type[F]) -> F | None:
    return next((form for _, form in _all(filled, kind)), None)


def _entries(filled: Sequence[_Filled]) -> Iterator[Entry]:
    tables = [(source, form.party) for source, form in _all(filled, PartiesForm)]
    tables += [(source, form.party) for source, form in _all(filled, MorePartiesForm)]
    for source, parties in tables:
        for n, party in enumerate(parties):
            yield Entry(form=party, source=source, place=("party", n))


def _endpoint_problems(filled: Sequence[_Filled], codes: Collection[str]) -> list[Problem]:
    return [source.problem(fault) for source, form in _all(filled, EndpointsForm) for fault in endpoint_faults(form.endpoints, codes)]


# --- procedures and indexes --------------------------------------------------------------------------------------------


def _procedures(filled: Sequence[_Filled], around: Surroundings) -> tuple[list[Procedure], list[Problem]]:
    procedures: list[Procedure] = []
    problems: list[Problem] = []
    places: dict[int, Source] = {}
    for source, form in _all(filled, ProcedureForm):
        faults = list(procedure_faults(form, around))
        problems.extend(map(source.problem, faults))
        if not faults:
            procedures.append(make_procedure(form, source, around))
            places[id(procedures[-1])] = source
    for earlier, later in _overlaps(procedures):
        values = {"procedure": later.code, "other": str(places[id(earlier)].path), "one": earlier.stamp, "two": later.stamp}
        problems.append(places[id(later)].problem(Fault(place=("valid_from",), text="versions-overlap", values=values)))
    return procedures, problems


def _overlaps(procedures: Sequence[Procedure]) -> Iterator[tuple[Procedure, Procedure]]:
    for versions in _catalogue(procedures).values():
        for earlier, later in pairwise(versions):
            if earlier.until is None or later.since < earlier.until:
                yield earlier, later


def _catalogue(procedures: Iterable[Procedure]) -> dict[str, tuple[Procedure, ...]]:
    """Versions by code, in the order they come into force."""
    versions: defaultdict[str, list[Procedure]] = defaultdict(list)
    for procedure in procedures:
        versions[procedure.code].append(procedure)
    return {code: tuple(sorted(those, key=lambda p: p.since)) for code, those in versions.items()}


def _spellings(parties: Iterable[Party]) -> dict[str, Party]:
    return {spelling: party for party in parties for spelling in (party.code, *party.aliases)}


def _routes(procedures: Iterable[Procedure]) -> dict[str, Route]:
    ordered = sorted(procedures, key=lambda p: p.since)
    return {rule.route.name: rule.route for p in ordered for row in p.messages.values() for rule in row.routes}
