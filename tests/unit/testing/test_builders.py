import tomllib
from typing import Any

import pytest
from lxml import etree

from gateway.testing import builders, contents
from gateway.testing.contents import Consignment
from gateway.xml.parse import parse
from gateway.xml.shipped import shipped

SIZES = (Consignment(goods=0), Consignment(goods=1), Consignment(), builders.TWELVE_KB, Consignment(goods=200))


def schema(name: str) -> etree.XMLSchema:
    catalog = tomllib.loads((shipped("xsd") / "catalog.toml").read_text("utf-8"))
    files = {known: file for pack in catalog["pack"] for known, file in pack["schemas"].items()}
    return etree.XMLSchema(file=str(shipped("xsd") / files[name]))


@pytest.mark.parametrize("kind", builders.KINDS)
@pytest.mark.parametrize("consignment", SIZES, ids=lambda one: f"{one.goods}-goods")
def test_every_message_is_valid_by_its_schema(kind: str, consignment: Consignment) -> None:
    judge = schema(builders.envelope(kind).document.type)

    judge.assertValid(parse(builders.message(kind, consignment)))


def test_the_large_application_has_twelve_kilobytes() -> None:
    assert 12_000 <= len(builders.message("10/01", builders.TWELVE_KB)) <= 13_000


def test_the_same_input_gives_the_same_bytes() -> None:
    assert builders.message("21/18") == builders.message("21/18")
    assert builders.envelope("21/18") == builders.envelope("21/18")


def test_each_dossier_and_kind_has_an_id_of_its_own() -> None:
    ids = {builders.header(kind, Consignment(number=n)).id for kind in builders.KINDS for n in range(3)}

    assert len(ids) == 3 * len(builders.KINDS)


def test_a_message_is_written_in_canonical_form() -> None:
    message = builders.message("10/01", Consignment(note=' <&>"\r\t'))

    assert etree.tostring(parse(message), method="c14n", exclusive=True) == message


@pytest.mark.parametrize("goods", [0, 1, 2])
def test_a_ministry_draws_its_messages_from_what_it_received(goods: int) -> None:
    registered = contents.registration(Consignment(number=77, goods=goods))
    received = parse(contents.write({"Phytosanitary": registered}))

    for draw in (contents.confirmation, contents.fee, contents.certificate):
        assert contents.write(draw(contents.read(received))) == contents.write(draw(registered))


def test_reading_keeps_repeated_elements_apart() -> None:
    registered = contents.registration(Consignment(goods=3))
    goods: Any = contents.read(parse(contents.write({"Phytosanitary": registered})))["GoodsList"]

    assert [line["Sort"] for line in goods["Goods"]] == ["1", "2", "3"]


@pytest.mark.parametrize("client", builders.CLIENTS)
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_every_client_wraps_the_same_payload(client: str, version: str) -> None:
    payload = builders.message("10/01", Consignment(note=" ]]> & <"))
    root = parse(builders.soap(payload, client=client, version=version))

    text = root.findtext(f".//{{{builders.GATEWAY_NS}}}requestPayload") or ""
    unescaped = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") if client == "escaped-twice" else text
    assert unescaped.removeprefix('<?xml version="1.0" encoding="UTF-8"?>').encode() == payload
