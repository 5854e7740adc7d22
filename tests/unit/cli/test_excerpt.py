"""The place of a problem, found and shown."""

import pytest
from rich.cells import cell_len

from gateway.cli.excerpt import Place, Row, Source, decoded
from gateway.errors import Problem
from gateway.xml.parse import parse

DOCUMENT = """<?xml version="1.0"?>
<a>
  <!-- <b>not this one</b> -->
  <b>one</b>
  <b code="x" kind='y'>  hai  </b>
  <c/>
  <d><![CDATA[<b>nor this</b>]]></d>
</a>
"""


def source(text: str = DOCUMENT) -> Source:
    return Source(text.encode(), parse(text.encode()))


def meant(text: str, place: Place | None) -> str:
    assert place is not None
    return text.split("\n")[place.line - 1][place.column - 1 : place.column - 1 + place.length]


@pytest.mark.parametrize(
    ("path", "values", "found"),
    [
        ("/a/b[2]", {"found": "hai"}, "hai"),
        ("/a/b[2]", {}, "<b"),
        ("/a/b[2]/@code", {"found": "x"}, 'code="x"'),
        ("/a/b[2]/@kind", {}, "kind='y'"),
        ("/a/b[2]/@absent", {}, "<b"),
        ("/a/c", {"found": ""}, "<c/>"),
        ("/a/d", {"found": "?"}, "<![CDATA[<b>nor this</b>]]>"),
        ("/a", {}, "<a"),
        ("/a/gone/deeper", {}, "<a"),
    ],
)
def test_path_leads_to_value_attribute_or_tag(path: str, values: dict[str, str], found: str) -> None:
    place = source().find(Problem(text="schema.value", path=path, values=values))

    assert meant(DOCUMENT, place) == found


def test_missing_element_is_shown_behind_the_one_it_follows() -> None:
    problem = Problem(text="schema.missing-after", path="/a", values={"after": "b"})

    assert meant(DOCUMENT, source().find(problem)) == "<b code=\"x\" kind='y'>  hai  </b>"


def test_prefixes_are_those_of_the_document() -> None:
    text = '<p:a xmlns:p="urn:p"><b xmlns="urn:b">1</b><p:b>2</p:b></p:a>'

    place = source(text).find(Problem(text="schema.value", path="/p:a/p:b", values={"found": "2"}))

    assert meant(text, place) == "2"


def test_line_and_column_of_a_syntax_error_are_shown_where_it_begins() -> None:
    text = "<a>\n  <b>A&B</b>\n</a>"

    place = Source(text.encode()).find(Problem(text="xml.ampersand", line=2, values={"column": "8"}))

    assert place == Place(line=2, column=7, length=1)


def test_line_without_column_is_meant_as_a_whole() -> None:
    assert meant(DOCUMENT, Source(DOCUMENT.encode()).find(Problem(text="x", line=4))) == "<b>one</b>"


@pytest.mark.parametrize("problem", [Problem(text="x"), Problem(text="x", line=99), Problem(text="x", path="/a")])
def test_problem_without_a_place_has_none(problem: Problem) -> None:
    assert Source(DOCUMENT.encode()).find(problem) is None


def test_lines_count_from_where_the_document_begins_in_its_file() -> None:
    whole = Source(DOCUMENT.encode(), parse(DOCUMENT.encode()), first=11)

    place = whole.find(Problem(text="x", path="/a/b[1]"))

    assert place is not None
    assert place.line == 14
    assert [row.number for row in whole.rows(place, width=80)] == [13, 14, 15]


def test_rows_show_the_line_between_its_neighbours() -> None:
    text = source()

    rows = list(text.rows(Place(line=4, column=6, length=3), width=80))

    assert rows == [
        Row(number=3, text="  <!-- <b>not this one</b> -->"),
        Row(number=4, text="  <b>one</b>", marker="     ^^^"),
        Row(number=5, text="  <b code=\"x\" kind='y'>  hai  </b>"),
    ]


@pytest.mark.parametrize("column", [1, 30, 500, 985])
def test_long_line_is_cut_to_the_width_with_the_place_inside(column: int) -> None:
    line = "".join(chr(97 + number % 26) for number in range(1000))
    text = Source(line.encode())

    (row,) = text.rows(Place(line=1, column=column, length=5), width=60)

    assert cell_len(row.text) <= 60
    start = row.marker.index("^")
    assert row.text[start : start + 5] == line[column - 1 : column + 4]


def test_marker_counts_cells_not_characters() -> None:
    text = Source("<a>日本\u0301é<b>x</b></a>".encode())

    (row,) = text.rows(Place(line=1, column=8, length=2), width=80)

    assert row.marker == " " * 8 + "^^"  # two wide characters, one that takes no room, one plain


def test_what_could_trick_a_terminal_is_shown_as_a_mark() -> None:
    text = Source("<a>\x1b[31m\u202eevil\x07</a>\r\n".encode())

    (row,) = text.rows(Place(line=1, column=1, length=2), width=80)

    assert row.text == "<a>␦[31m␦evil␦</a>"


def test_tabs_are_shown_as_blanks_and_marked_in_place() -> None:
    (row,) = Source(b"\t<b>").rows(Place(line=1, column=2, length=2), width=80)

    assert (row.text, row.marker) == ("    <b>", "    ^^")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_every_encoding_the_parser_takes(encoding: str) -> None:
    assert decoded("<a>Hồ sơ</a>".encode(encoding)) == "<a>Hồ sơ</a>"


def test_bytes_in_no_encoding_are_shown_all_the_same() -> None:
    assert decoded(b"<a>\xff\xe1</a>") == "<a>��</a>"
