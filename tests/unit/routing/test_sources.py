import os
from pathlib import Path

import pytest

from gateway.errors import Problem
from gateway.routing.sources import Fault, Source, discover, fingerprint, line_of, read, spell, version_of

TEXT = """\
code = "x"
title.vi = "a"

[keys]
a = ["A/B"]
"b c" = [
  "A/C",
]

[[message]]
type = "10" # = comment
dossier = { to = "1" }

[[message]]
type = "11"
[message.dossier]
to = "2"

[[ route ]] # spaces are fine
name = "r"
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("code",), 1),
        (("title", "vi"), 2),
        (("title",), 2),
        (("keys", "a", 0), 5),
        (("keys", "b c", 0), 6),
        (("message", 0), 10),
        (("message", 0, "type"), 11),
        (("message", 0, "dossier", "to"), 12),
        (("message", 1, "type"), 15),
        (("message", 1, "dossier", "to"), 17),
        (("message", 1, "missing"), 14),
        (("route", 0, "name"), 20),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_line_of_finds_the_key_or_the_table_around_it(place: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(TEXT, place) == line


def test_spell_counts_like_people() -> None:
    assert spell(("message", 2, "dossier", "from", 0)) == "message#3.dossier.from#1"


def test_discover_takes_the_first_folder_that_has_a_file(tmp_path: Path) -> None:
    for name in ("one/a.toml", "one/x/b.toml", "two/a.toml", "two/c.toml", "two/.hidden.toml", "two/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = discover([tmp_path / "one", tmp_path / "two", tmp_path / "missing"])

    assert {name: path.relative_to(tmp_path).as_posix() for name, path in found.items()} == {
        "a.toml": "one/a.toml",
        "x/b.toml": "one/x/b.toml",
        "c.toml": "two/c.toml",
    }


def test_discover_goes_through_links_and_past_what_is_hidden(tmp_path: Path) -> None:
    rules, elsewhere = tmp_path / "rules", tmp_path / "elsewhere"
    for file in (rules / "..2026_11_22" / "parties.toml", rules / ".git" / "x.toml", rules / ".parties.toml", elsewhere / "a.toml"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", "utf-8")
    (rules / "..data").symlink_to("..2026_11_22")
    (rules / "parties.toml").symlink_to("..data/parties.toml")
    (rules / "procedures").symlink_to(elsewhere)
    (elsewhere / "around").symlink_to(rules)

    assert discover([rules]) == {"parties.toml": rules / "parties.toml", "procedures/a.toml": rules / "procedures" / "a.toml"}


def test_fingerprint_changes_with_time_size_and_names(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = 1")
    first = fingerprint([tmp_path])

    path.write_text("a = 10")
    longer = fingerprint([tmp_path])
    os.utime(path, ns=(1, 1))
    older = fingerprint([tmp_path])
    path.rename(tmp_path / "b.toml")
    renamed = fingerprint([tmp_path])

    assert len({first, longer, older, renamed}) == 4


def test_version_follows_names_and_texts_not_places(tmp_path: Path) -> None:
    def source(name: str, text: str, folder: str = "x") -> Source:
        return Source(path=tmp_path / folder / name, name=name, text=text, table={})

    assert version_of([source("a", "1"), source("b", "2")]) == version_of([source("b", "2", "y"), source("a", "1")])
    assert version_of([source("a", "1")]) != version_of([source("a", "2")])
    assert version_of([source("a", "1")]) != version_of([source("b", "1")])


def test_a_mark_at_the_beginning_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\n")

    source = read("a.toml", path)

    assert isinstance(source, Source)
    assert source.table == {"a": 1}


@pytest.mark.parametrize(
    ("content", "text", "line"),
    [
        (b"a = 1\nb = \n", "routing.not-toml", 2),
        (b"a = 1\na = 2\n", "routing.not-toml", 2),
        (b"a = '\xff'", "routing.not-utf8", None),
    ],
)
def test_unreadable_file_says_why_and_where(tmp_path: Path, content: bytes, text: str, line: int | None) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)

    problem = read("a.toml", path)

    assert isinstance(problem, Problem)
    assert (problem.text, problem.path, problem.line) == (text, str(path), line)


def test_file_that_vanished_is_a_problem(tmp_path: Path) -> None:
    problem = read("a.toml", tmp_path / "a.toml")

    assert isinstance(problem, Problem)
    assert problem.text == "routing.not-readable"


def test_problem_names_file_place_and_line(tmp_path: Path) -> None:
    source = Source(path=tmp_path / "f.toml", name="f.toml", text=TEXT, table={})

    problem = source.problem(Fault(place=("message", 1, "type"), text="want-text", values={"key": "type"}))

    assert (problem.text, problem.path, problem.line) == ("routing.want-text", f"{tmp_path / 'f.toml'}: message#2.type", 15)
