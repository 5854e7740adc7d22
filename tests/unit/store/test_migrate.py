"""Tables of this release, made by migrations in two halves."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from gateway.errors import Unavailable
from gateway.store.migrate import FOLDER, POST, PRE, Level, check_present, level, pending, upgrade
from gateway.store.tables import METADATA


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("empty_postgres_url"))
    return f"sqlite:///{tmp_path}/g.db"


def test_migrations_make_exactly_the_tables_of_the_program(empty: str) -> None:
    assert pending(empty)

    upgrade(empty)

    engine = create_engine(empty.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    assert not pending(empty)


def test_processes_that_upgrade_at_once_wait_for_each_other(empty: str) -> None:
    failures: list[Exception] = []

    def run() -> None:
        try:
            upgrade(empty)
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert not pending(empty)


def test_second_half_is_refused_before_the_first(empty: str) -> None:
    with pytest.raises(Unavailable) as refused:
        upgrade(empty, POST)

    assert refused.value.problems[0].text == "store.halves"


def test_second_half_follows_the_first_and_is_counted_by_itself(empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.migrate.FOLDER", _with_a_second_half(tmp_path / "migrations"))
    upgrade(empty, PRE)
    assert (pending(empty, PRE), pending(empty, POST)) == (False, True)

    upgrade(empty, POST)

    assert (pending(empty, PRE), pending(empty, POST)) == (False, False)


def test_process_of_the_release_before_starts_on_the_first_half_of_the_next(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(empty, PRE)
    monkeypatch.setattr("gateway.store.migrate.FOLDER", _with_a_second_half(tmp_path / "migrations"))

    upgrade(empty, PRE)
    check_present(empty)

    assert level(empty, PRE) is Level.NEWER


def test_process_of_the_release_before_does_not_start_on_the_second_half_of_the_next(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.migrate.FOLDER", _with_a_second_half(tmp_path / "migrations"))
    upgrade(empty, PRE)
    upgrade(empty, POST)
    monkeypatch.undo()

    for start in (upgrade, check_present):
        with pytest.raises(Unavailable) as refused:
            start(empty)
        assert refused.value.problems[0].text == "store.newer"


def test_tables_that_are_missing_are_told_of(empty: str) -> None:
    if empty.startswith("sqlite"):
        Path(empty.removeprefix("sqlite:///")).touch()

    with pytest.raises(Unavailable) as refused:
        check_present(empty)

    assert refused.value.problems[0].text == "store.pending"


def _with_a_second_half(folder: Path) -> Path:
    """Copy what alembic runs, with a first half of one table and a second that takes a column away."""
    (folder / "versions").mkdir(parents=True)
    (folder / "afterwards").mkdir()
    shipped = FOLDER
    (folder / "env.py").write_text((shipped / "env.py").read_text("utf-8"), "utf-8")
    head = 'from alembic import op\nimport sqlalchemy as sa\nrevision = "{0}"\ndown_revision = None\n\ndef upgrade():\n    {1}\n'
    first = 'op.create_table("t", sa.Column("kept", sa.Text()), sa.Column("old", sa.Text()))'
    (folder / "versions" / "v1.py").write_text(head.format("0001", first), "utf-8")
    (folder / "afterwards" / "a1.py").write_text(head.format("0001", 'op.drop_column("t", "old")'), "utf-8")
    return folder
