"""The envelope's header: read in every spelling of the field, written in one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import Code, NotReadable
from gateway.model import Header, Identity, Subject
from gateway.testing import builders
from gateway.xml.canonical import canonical
from gateway.xml.header import MAX_FIELD, read_date, read_header, write_date, write_header
from gateway.xml.parse import parse

ZONE = timezone(timedelta(hours=7))
SENT_AT = datetime(2026, 10, 12, 9, 30, tzinfo=ZONE)


def envelope(subject: str = "", *, around: str = "") -> bytes:
    return f"<Envelope><Header>{around}<Subject><documentType>P1</documentType>{subject}</Subject></Header><Body/></Envelope>".encode()


def read(data: bytes) -> Header:
    return read_header(parse(data), zone=ZONE)


def refused(data: bytes) -> NotReadable:
    with pytest.raises(NotReadable) as caught:
        read(data)
    return caught.value


# --- reading -----------------------------------------------------------------------------------------------------------


def test_reads_every_part(envelope: bytes) -> None:
    header = read(envelope)

    assert header == Header(
        id="0190b2d6-5b5c-7cc3-98c4-dc0c0c07398f",
        sender=Identity(name="Cổng NSW", identity="NSW", country="VN", ministry="BTC", organization="TCHQ", unit="NSW"),
        receiver=Identity(name="BNN", identity="BNN", country="VN", ministry="BNN", organization="CBVTV"),
        subject=Subject(document_type="BNN&PTNT0300002", type="10", function="01", reference="2026-000123", year="2026"),
        sent_at=SENT_AT,
        version="1.0",
    )


def test_reads_a_header_of_a_document_type_alone() -> None:
    nobody = Identity(name="", identity="", country="", ministry="", organization="")

    assert read(envelope()) == Header(
        id=None,
        sender=nobody,
        receiver=nobody,
        subject=Subject(document_type="P1", type="", function="", reference="", year=""),
        sent_at=None,
    )


def test_reads_a_subject_in_any_order_with_fields_it_does_not_know() -> None:
    subject = b"<sendDate/><function>7</function><note>x</note><documentType>P1</documentType>"

    assert read(b"<Envelope><Header><Subject>" + subject + b"</Subject></Header></Envelope>").subject == Subject(
        document_type="P1", type="", function="07", reference="", year=""
    )


@pytest.mark.parametrize(
    "written", ["BNN&amp;PTNT03", "BNN&amp;amp;PTNT03", "BNN&amp;amp;amp;PTNT03", " \n BNN&amp;PTNT03 ", "<![CDATA[BNN&PTNT03]]>"]
)
def test_reads_an_ampersand_however_often_it_was_escaped(written: str) -> None:
    data = f"<Envelope><Header><Subject><documentType>{written}</documentType></Subject></Header></Envelope>"

    assert read(data.encode()).subject.document_type == "BNN&PTNT03"


@pytest.mark.parametrize(
    ("written", "expected"), [("1", "01"), ("01", "01"), ("10", "10"), ("101", "101"), ("001", "001"), (" 7 ", "07"), ("", "")]
)
def test_pads_type_and_function_to_two_digits(written: str, expected: str) -> None:
    subject = read(envelope(f"<type>{written}</type><function>{written}</function>")).subject

    assert (subject.type, subject.function) == (expected, expected)


@pytest.mark.parametrize(
    "written",
    [
        "2026-10-12 09:30:00", "2026-10-12T09:30:00", "2026-10-12 09:30:00.000", "2026-10-12T09:30:00+07:00", "2026-10-12T02:30:00Z",
        "2026-10-12 09:30", "12/10/2026 09:30:00", "12-10-2026 09:30:00", "20261012093000", "20261012T093000", " 2026-10-12 09:30:00 ",
    ],
)  # fmt: skip
def test_reads_a_time_in_the_fields_spellings(written: str) -> None:
    assert read(envelope(f"<sendDate>{written}</sendDate>")).sent_at == SENT_AT


@pytest.mark.parametrize(
    ("written", "expected"), [("2026-10-12", datetime(2026, 10, 12, tzinfo=ZONE)), ("12/10/2026", datetime(2026, 10, 12, tzinfo=ZONE))]
)
def test_reads_a_day_as_its_first_moment(written: str, expected: datetime) -> None:
    assert read_date(written, ZONE) == expected


def test_keeps_milliseconds() -> None:
    assert read_date("2026-10-12 09:30:00.125", ZONE) == SENT_AT + timedelta(milliseconds=125)


@pytest.mark.parametrize(
    "written",
    ["", "today", "2026-13-01 00:00:00", "31/02/2026", "20261399000000", "0001-01-01 00:00:00", "9999-12-31T23:59:59", "12/10/2026 noon"],
)
def test_gives_no_time_where_there_is_none(written: str) -> None:
    assert read_date(written, ZONE) is None


@given(st.text(max_size=30))
def test_any_text_is_a_time_that_can_be_moved_to_utc_or_none(text: str) -> None:
    at = read_date(text, ZONE)

    assert at is None or at.astimezone(UTC).tzinfo is UTC


# --- refusing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text", "path"),
    [
        (b"<envelope/>", "xml.not-envelope", "/"),
        (b"<Envelope xmlns='urn:x'><Header/></Envelope>", "xml.not-envelope", "/"),
        (b"<Envelope/>", "xml.missing", "/Envelope/Header"),
        (b"<Envelope><Header/></Envelope>", "xml.missing", "/Envelope/Header/Subject/documentType"),
        (b"<Envelope><Header><Subject/></Header></Envelope>", "xml.missing", "/Envelope/Header/Subject/documentType"),
        (envelope().replace(b"P1", b" \n "), "xml.missing", "/Envelope/Header/Subject/documentType"),
        (b"<Envelope><Header/><Header/></Envelope>", "xml.twice", "/Envelope/Header"),
        (envelope(around="<Subject/>"), "xml.twice", "/Envelope/Header/Subject"),
        (envelope(around="<From/><From/>"), "xml.twice", "/Envelope/Header/From"),
        (envelope(around="<From><identity>A</identity><identity>B</identity></From>"), "xml.twice", "/Envelope/Header/From"),
        (envelope("<documentType>P2</documentType>"), "xml.twice", "/Envelope/Header/Subject"),
        (envelope("<type>1<b/>0</type>"), "xml.not-text", "/Envelope/Header/Subject"),
    ],
)  # fmt: skip
def test_refuses_a_header_that_cannot_be_read_in_one_way(data: bytes, text: str, path: str) -> None:
    refusal = refused(data)

    assert refusal.code is Code.PROCEDURE_UNREADABLE
    assert (refusal.problems[0].text, refusal.problems[0].path, refusal.problems[0].line) == (text, path, 1)


def test_refuses_a_field_longer_than_the_limit() -> None:
    assert read(envelope(f"<reference>{'x' * MAX_FIELD}</reference>")).subject.reference == "x" * MAX_FIELD
    assert refused(envelope(f"<reference>{'x' * (MAX_FIELD + 1)}</reference>")).code is Code.LIMIT


# --- writing -------------------------------------------------------------------------------------------------------------


def test_writes_parts_and_fields_in_the_contracts_order(envelope: bytes) -> None:
    written = write_header(read(envelope), zone=ZONE)

    assert [e.tag for e in parse(written).iter()] == [
        "Header",
        "Reference", "version", "messageId",
        "From", "name", "identity", "countryCode", "ministryCode", "organizationCode", "unitCode",
        "To", "name", "identity", "countryCode", "ministryCode", "organizationCode",
        "Subject", "documentType", "type", "function", "reference", "documentYear", "preReference", "sendDate",
    ]  # fmt: skip


def test_leaves_empty_optional_fields_out_and_keeps_demanded_ones() -> None:
    header = read(envelope())

    assert [e.tag for e in parse(write_header(header, zone=ZONE)) .iter() if not len(e) and not e.text] == [
        "Reference",
        *(["name", "identity", "countryCode", "ministryCode", "organizationCode"] * 2),
        "type", "function", "reference", "documentYear", "preReference",
    ]  # fmt: skip


def test_writes_a_time_in_the_zone_it_is_given() -> None:
    assert write_date(datetime(2026, 10, 12, 2, 30, 0, 900_000, tzinfo=UTC), ZONE) == "2026-10-12 09:30:00"


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn"]), min_size=1, max_size=20).filter(
    lambda t: t.isprintable()
)
PROSE = st.lists(WORDS, max_size=3).map(" ".join)
IDENTITIES = st.builds(Identity, name=PROSE, identity=PROSE, country=PROSE, ministry=PROSE, organization=PROSE, unit=PROSE)
NUMBERS = st.from_regex(r"[0-9]{2,3}", fullmatch=True)
HEADERS = st.builds(
    Header,
    id=st.none() | WORDS,
    sender=IDENTITIES,
    receiver=IDENTITIES,
    subject=st.builds(
        Subject,
        document_type=WORDS.map(lambda t: t.replace("&amp;", "&")).filter(lambda t: "&amp;" not in t),
        type=NUMBERS,
        function=NUMBERS,
        reference=PROSE,
        year=NUMBERS,
        previous=PROSE,
        previous_year=PROSE,
    ),
    sent_at=st.none() | st.datetimes(datetime(1900, 1, 2), datetime(9989, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=ZONE)),  # noqa: DTZ001 - hypothesis wants it so
    version=PROSE,
)


@given(HEADERS)
def test_reads_back_what_it_wrote(header: Header) -> None:
    written = write_header(header, zone=ZONE)

    assert read(b"<Envelope>" + written + b"</Envelope>") == header


@given(HEADERS)
def test_writes_in_canonical_form(header: Header) -> None:
    written = write_header(header, zone=ZONE)

    assert canonical(parse(written)) == written


@given(st.lists(st.sampled_from(["Reference", "From", "To", "Subject", "documentType", "type", "sendDate", "x"]), max_size=12), st.data())
def test_any_tree_is_read_or_refused(names: list[str], data: st.DataObject) -> None:
    root = etree.Element("Envelope")
    places = [etree.SubElement(root, "Header")]
    for name in names:
        child = etree.SubElement(data.draw(st.sampled_from(places)), name)
        child.text = data.draw(st.sampled_from(["", "1", "&amp;", "2026-10-12"]))
        places.append(child)

    try:
        assert read_header(root, zone=ZONE).subject.document_type
    except NotReadable as refusal:
        assert refusal.code is Code.PROCEDURE_UNREADABLE  # noqa: PT017 - either end is right


SPELLINGS = [
    ("<type>10</type>", "<type> 10\n</type>"),
    ("BNN&amp;PTNT0300002", "BNN&amp;amp;PTNT0300002"),
    ("BNN&amp;PTNT0300002", "BNN&#38;PTNT0300002"),
    ("BNN&amp;PTNT0300002", "<![CDATA[BNN&PTNT0300002]]>"),
    ("<type>10</type>", "<type>10</type><!-- <type>11</type> -->"),
    ("<type>10</type>", "<type>1<!-- -->0</type>"),
    ("<type>10</type>", "<type a='1'>10</type>"),
    ("<type>10</type>", "<type/>"),
    ("<type>10</type>", ""),
    ("<type>10</type>", "<type>1\r\n0</type>"),
    ("<type>10</type>", "<type>10</type><type>11</type>"),
    ("<type>10</type>", "<type>10<x/></type>"),
    ("<type>10</type>", f"<type>{'1' * (MAX_FIELD + 1)}</type>"),
    ("<type>10</type>", "<x:type xmlns:x='urn:x'>11</x:type>"),
    ("</Subject>", "</Subject><Subject><type>11</type></Subject>"),
    ("<Header>", "<Header><Note>From</Note>"),
    ("<Header>", "<Header xmlns='urn:other'>"),
    ("<Envelope>", "<!-- <Envelope><Header></Header> --><Envelope>"),
    ("<Envelope>", "<?xml version='1.0'?>\n<Envelope>"),
    ("</Header>", "</Header><Header></Header>"),
]


@pytest.mark.parametrize(("plain", "spelt"), [("", ""), *SPELLINGS])
@pytest.mark.parametrize("spaced", [False, True])
def test_reads_the_same_from_bytes_as_from_the_tree(plain: str, spelt: str, spaced: bool) -> None:  # noqa: FBT001  # pytest passes by name
    data = builders.message("10/01").decode().replace(plain, spelt, 1)
    written = (data.replace("><", ">\n  <") if spaced else data).encode()

    assert outcome(written, written) == outcome(written, b"")


def outcome(document: bytes, written: bytes) -> object:
    try:
        return read_header(parse(document), zone=UTC, written=written)
    except NotReadable as refusal:
        return refusal.code, [(p.text, p.path, p.values) for p in refusal.problems]
