"""Reads which packs of schemas there are: catalog.toml of each folder and of each pack folder in it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import Code, Problem

from .sources import SchemasInvalid, is_inside
from .wording import form

CATALOG = "catalog.toml"
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
_FIELDS = frozenset({"name", "version", "owner", "valid_from", "valid_to", "schemas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One version of a set of schemas, in force from `valid_from` up to, not including, `valid_to`.

    `rank` is its folder's place, 0 the strongest; `schemas` gives each schema's file below the folders.
    """

    name: str
    version: str
    owner: str
    valid_from: datetime
    valid_to: datetime
    rank: int
    schemas: Mapping[str, str]

    def is_in_force(self, at: datetime) -> bool:
        """Say whether it judges what was received at a moment."""
        return self.valid_from <= at < self.valid_to


def read_catalogs(folders: Sequence[Path]) -> tuple[Pack, ...]:
    """Read every catalogue, strongest first: by folder, then the latest; raises SchemasInvalid with every problem."""
    problems: list[Problem] = []
    packs: list[Pack] = []
    files = [(rank, folder, file) for rank, folder in enumerate(folders) for file in _files(folder)]
    for rank, folder, file in files:
        try:
            packs += _read(file, rank=rank, below=file.parent.relative_to(folder).as_posix())
        except SchemasInvalid as error:
            problems += error.problems
    if not files:
        problems.append(Problem(text="schema.catalog-none", values={"folders": ", ".join(map(str, folders))}))
    if problems:
        raise SchemasInvalid(Code.RULES, *problems)
    return tuple(sorted(sorted(packs, key=lambda pack: pack.valid_from, reverse=True), key=lambda pack: pack.rank))


def _files(folder: Path) -> list[Path]:
    """List the folder's own catalogue and those of the packs in it; a name with a dot is a pack being installed."""
    packs = sorted(file for file in folder.glob(f"*/{CATALOG}") if not file.parent.name.startswith("."))
    return [file for file in (folder / CATALOG, *packs) if file.is_file()]


def _read(file: Path, *, rank: int, below: str) -> Iterator[Pack]:
    try:
        tables = tomllib.loads(file.read_text("utf-8-sig")).get("pack", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemasInvalid(
            Code.RULES, Problem(text="schema.catalog-toml", path=str(file), values={"reason": str(error)[:200]})
        ) from error
    entries = [(number, table) for number, table in enumerate(tables, start=1)] if isinstance(tables, list) else []
    faults = [fault for number, table in entries for fault in _faults(table, number, file)]
    if faults or not entries:
        raise SchemasInvalid(Code.RULES, *(faults or [_fault("pack", 1, file, "tables")]))
    return (_pack(table, rank=rank, below=below) for _, table in entries)


def _pack(table: Mapping[str, object], *, rank: int, below: str) -> Pack:
    schemas = table["schemas"]
    prefix = "" if below == "." else f"{below}/"
    return Pack(
        name=str(table["name"]),
        version=str(table["version"]),
        owner=str(table.get("owner", "")),
        valid_from=_moment(table.get("valid_from"), _BEGINNING),
        valid_to=_moment(table.get("valid_to"), _END),
        rank=rank,
        schemas={str(name): f"{prefix}{file}" for name, file in schemas.items()} if isinstance(schemas, dict) else {},
    )


def _moment(value: object, default: datetime) -> datetime:
    return value if isinstance(value, datetime) else default


def _faults(table: object, number: int, file: Path) -> Iterator[Problem]:
    if not isinstance(table, dict):
        yield _fault("pack", number, file, "tables")
        return
    for field in ("name", "version"):
        if not isinstance(table.get(field), str) or not table[field]:
            yield _fault(field, number, file, "text")
    for field in ("valid_from", "valid_to"):
        value = table.get(field, _BEGINNING)
        if not isinstance(value, datetime) or value.tzinfo is None:
            yield _fault(field, number, file, "moment")
    for field in table.keys() - _FIELDS:
        yield _fault(str(field), number, file, "known")
    schemas = table.get("schemas")
    if not isinstance(schemas, dict) or not all(isinstance(value, str) and is_inside(value) for value in schemas.values()):
        yield _fault("schemas", number, file, "files")


def _fault(field: str, number: int, file: Path, accepted: str) -> Problem:
    return Problem(text="schema.catalog-field", path=str(file), values={"field": field, "pack": str(number), **form(accepted)})
