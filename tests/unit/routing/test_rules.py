import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.routing.rules import Rules, RulesInvalid, check

Edit = Callable[[str, str, str], None]
PARTIES, PROCEDURE = "parties.toml", "procedures/M/p.toml"


def test_check_counts_what_it_checked(folder: Path) -> None:
    report = check([folder])

    assert report.passed
    assert (report.procedures, report.messages, report.examples) == (1, 2, 4)


def test_check_of_broken_files_reports_and_does_not_raise(folder: Path, edit: Edit) -> None:
    edit(PARTIES, 'country = "VN"', 'country = "x"')

    report = check([folder])

    assert not report.passed
    assert report.rules is None
    assert [problem.text for problem in report.problems] == ["routing.want-country"]


def test_failing_example_does_not_pass(folder: Path, edit: Edit) -> None:
    edit(PROCEDURE, 'facts = { country = "LA" }', 'facts = { country = "VN" }')

    assert not check([folder]).passed
    with pytest.raises(RulesInvalid):
        Rules([folder])


def test_unchanged_files_are_not_loaded_again(folder: Path) -> None:
    rules = Rules([folder])
    before = rules.current

    assert rules.reload_if_changed() == []
    assert rules.current is before


def test_changed_files_that_pass_come_into_force(folder: Path, edit: Edit) -> None:
    rules = Rules([folder])
    before = rules.current

    edit(PARTIES, 'name = "C"', 'name = "Customs of the country"')

    assert rules.reload_if_changed() == []
    assert rules.current is not before
    assert rules.current.version != before.version
    assert before.party("CUSTOMS") is not rules.current.party("CUSTOMS")


@pytest.mark.parametrize(
    ("file", "old", "new", "text"),
    [
        (PARTIES, 'country = "VN"', 'country = "x"', "routing.want-country"),
        (PARTIES, "[gateway]", "[gateway", "routing.not-toml"),
        (PROCEDURE, 'facts = { country = "LA" }', 'facts = { country = "VN" }', "routing.example-route"),
    ],
)
def test_changed_files_that_fail_never_replace_the_set_in_force(folder: Path, edit: Edit, file: str, old: str, new: str, text: str) -> None:
    rules = Rules([folder])
    before = rules.current

    edit(file, old, new)
    first, second = rules.reload_if_changed(), rules.reload_if_changed()

    assert [problem.text for problem in first] == [text]
    assert second == first
    assert list(rules.problems) == first
    assert rules.current is before


def test_mended_files_come_into_force_and_clear_the_problems(folder: Path, edit: Edit) -> None:
    rules = Rules([folder])
    edit(PARTIES, "[gateway]", "[gateway")
    rules.reload_if_changed()

    edit(PARTIES, "[gateway", "[gateway]")
    edit(PARTIES, 'name = "C"', 'name = "Customs"')

    assert rules.reload_if_changed() == []
    assert rules.problems == ()
    customs = rules.current.party("CUSTOMS")
    assert customs is not None
    assert customs.identity.name == "Customs"


def test_added_override_comes_into_force_and_its_removal_restores_the_shipped_file(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    rules = Rules([own, folder])
    before = rules.current.version

    own.mkdir()
    (own / "endpoints.toml").write_text('[endpoints]\nPORTAL = "http://127.0.0.1:1/ws"\n', "utf-8")
    rules.reload_if_changed()
    portal = rules.current.party("PORTAL")
    (own / "endpoints.toml").unlink()
    rules.reload_if_changed()

    assert portal is not None
    assert portal.endpoint == "http://127.0.0.1:1/ws"
    assert rules.current.version == before


def test_names_known_at_the_start_are_judged_at_every_reload(folder: Path, edit: Edit) -> None:
    rules = Rules([folder], adapters={"portal", "agency"})

    edit(PARTIES, 'adapter = "agency"', 'adapter = "gone"')

    assert [problem.text for problem in rules.reload_if_changed()] == ["routing.adapter-unknown"]


def test_readers_see_whole_sets_while_reloads_go_on(folder: Path) -> None:
    rules = Rules([folder])
    path = folder / PARTIES
    text = path.read_text("utf-8")
    torn: list[str] = []
    stop = threading.Event()

    def reader() -> None:
        while not stop.is_set():
            current = rules.current
            if any(rule.party is not current.party(rule.party.code) for rule in current.routes.values()):
                torn.append(current.version)

    thread = threading.Thread(target=reader)
    thread.start()
    for number in range(20):
        path.write_text(text.replace('name = "C"', f'name = "Customs {"x" * number}"'), "utf-8")
        rules.reload_if_changed()
    stop.set()
    thread.join()

    assert torn == []
    assert rules.problems == ()
