import hashlib

import pytest

from gateway.testing import builders
from gateway.testing.contents import Consignment
from gateway.xml.likeness import alike, content_digest, imprint
from gateway.xml.parse import parse

GOOD = builders.message("10/01")
SIGNATURE = b"<Signature><Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/></Signature>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<Content>", b'<Content Id="content-1">'),
        (b"</Content>", b"</Content>" + SIGNATURE),
        (b"</Body>", b"</Body><SystemSignature>x</SystemSignature>"),
        (b"<sendDate>2026-10-12 09:30:00", b"<sendDate>2026-10-12 10:31:00"),
        (b"<Content>", b"<!-- again --><Content>"),
        (b"</Content><", b"</Content>\n  <"),
        (b"<identity>NSW</identity>", b"<identity>NSW </identity>"),
        (b"<type>10</type>", b"<type> 10 </type>"),
        (b"<version>1.0</version>", b"<version>01</version>"),
    ],
    ids=lambda value: value[:24].decode(),
)
def test_what_signing_and_sending_again_change_does_not_count(old: bytes, new: bytes) -> None:
    assert old in GOOD

    assert alike(GOOD, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<HsCode>08109092", b"<HsCode>08109093"),
        (b"<Uses>", b"<Uses> "),
        (b"<Sort>1</Sort>", b"<Sort>1</Sort><Sort>1</Sort>"),
        (b"<reference>BNN26", b"<reference>BNN27"),
        (b"<function>01", b"<function>02"),
        (b"<documentYear>2026", b"<documentYear>2025"),
        (b"<preReference>BNN26", b"<preReference>BNN27"),
        (b"<Content>", b'<Content xml:lang="vi">'),
        (b"<GoodsList>", b'<GoodsList Id="x">'),
    ],
    ids=lambda value: value[:24].decode(),
)
def test_what_the_sender_says_otherwise_counts(old: bytes, new: bytes) -> None:
    assert old in GOOD

    assert not alike(GOOD, GOOD.replace(old, new, 1))


def test_the_order_in_which_a_subject_is_written_does_not_count() -> None:
    swapped = GOOD.replace(b"<type>10</type><function>01</function>", b"<function>01</function><type>10</type>", 1)
    assert swapped != GOOD

    assert alike(GOOD, swapped)


def test_a_prefix_that_stands_in_values_only_counts_with_what_it_means() -> None:
    def typed(uri: bytes) -> bytes:
        declared = b'<Uses xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:a="%b" i:type="a:b">' % uri
        return GOOD.replace(b"<Uses>", declared, 1)

    assert alike(typed(b"urn:1"), typed(b"urn:1"))
    assert not alike(typed(b"urn:1"), typed(b"urn:2"))


def test_the_digest_is_that_of_the_canonical_content_and_leaves_the_tree_alone() -> None:
    root = parse(GOOD.replace(b"<Content>", b'<Content Id="c">', 1))
    content = root.find("Body/Content")
    assert content is not None

    digest = content_digest(root)

    inside = GOOD[GOOD.index(b"<Content>") : GOOD.index(b"</Content>") + len(b"</Content>")]
    assert digest == hashlib.sha256(inside).digest()
    assert content.get("Id") == "c"


def test_an_envelope_without_content_has_an_empty_digest() -> None:
    assert content_digest(parse(b"<Envelope><Body/></Envelope>")) == b""


def test_two_dossiers_are_not_alike() -> None:
    assert not alike(GOOD, builders.message("10/01", Consignment(number=124)))


def test_imprints_are_equal_where_envelopes_are_alike() -> None:
    again = GOOD.replace(b"<Content>", b'<Content Id="content-1">').replace(b"09:30:00", b"10:31:00")
    other = GOOD.replace(b"<type>10</type>", b"<type>11</type>")

    assert again != GOOD
    assert imprint(again) == imprint(GOOD)
    assert imprint(other) != imprint(GOOD)
    assert imprint(builders.message("10/01", Consignment(number=2))) != imprint(GOOD)
