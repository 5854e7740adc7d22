"""Thousands of changed envelopes: each is refused with a GatewayError, or means exactly what was signed. Seeded, to repeat a failure."""

import random

import pytest
from lxml.etree import _Element

from gateway.errors import GatewayError
from gateway.security import certificates, signer, spelling
from gateway.security.general import verify_file
from gateway.security.policy import PERMISSIVE, PERSON, SYSTEM
from gateway.security.question import Question
from gateway.security.shape import SIGNATURE
from gateway.testing.changes import Change, by_byte, by_element
from gateway.testing.signing import NOW, Bench, People, unsigned
from gateway.xml.canonical import canonical
from gateway.xml.parse import parse

pytestmark = pytest.mark.slow

ROUNDS = 1500


@pytest.mark.parametrize("mutate", [by_byte, by_element])
@pytest.mark.parametrize("seed", range(2))
def test_changed_envelope_is_refused_or_means_what_was_signed(bench: Bench, mutate: Change, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw
    signed = bench.signed(system=bench.rsa)
    meant = canonical(bench.prove(signed).root)
    accepted = 0

    for _ in range(ROUNDS):
        changed = mutate(draw, signed)
        try:
            proven = bench_prove(bench, changed)
        except GatewayError:
            continue
        accepted += 1
        assert canonical(proven) == meant, changed

    assert accepted < ROUNDS // 4


def bench_prove(bench: Bench, payload: bytes) -> _Element:
    return bench.prove(payload).root


@pytest.mark.parametrize("seed", range(2))
def test_changed_person_signature_is_refused_or_covers_what_was_signed(bench: Bench, seed: int) -> None:
    draw, people = random.Random(seed), People(unsigned("NSW"))  # noqa: S311 - a repeatable draw
    signed = bench.signed(bare=True)
    content = parse(signed).find("Body/Content")
    assert content is not None
    meant = canonical(content)

    for _ in range(ROUNDS):
        try:
            proven = bench.prove(draw.choice((by_byte, by_element))(draw, signed), people=people)
        except GatewayError:
            continue
        found = proven.root.find("Body/Content")
        if proven.signers:
            assert found is not None
            assert canonical(found) == meant


@pytest.mark.parametrize("seed", range(2))
def test_the_pattern_takes_nothing_that_the_walk_reads_otherwise(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw
    signed = bench.signed()
    read = {"system": 0, "person": 0}

    for _ in range(ROUNDS):
        try:
            root = parse(by_byte(draw, signed) if draw.random() < 0.5 else by_element(draw, signed))
        except GatewayError:
            continue
        for signature in root.iter(SIGNATURE):
            place = SYSTEM if signature.getparent() is root.find("SystemSignature") else PERSON
            plain = spelling.plain(canonical(root) if place is SYSTEM else canonical(signature), place)
            if plain is not None:
                read[place.role] += 1
                walked = spelling.walk(signature, place)
                assert (plain.signed_info, plain.method, plain.uri, plain.digest) == (
                    walked.signed_info, walked.method, walked.uri, walked.digest,
                )  # fmt: skip
                assert (plain.digest_value, plain.value, list(plain.certificates)) == (
                    walked.digest_value, walked.value, list(walked.certificates),
                )  # fmt: skip
                assert plain.prefixes == walked.prefixes == ()

    assert min(read.values()) > ROUNDS // 4


@pytest.mark.parametrize("seed", range(2))
def test_changed_certificate_is_refused_or_leads_nowhere(bench: Bench, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw
    der, anchors = bench.person.certificates[0].der, bench.trust.anchors("person")

    for _ in range(2 * ROUNDS):
        at = draw.randrange(len(der))
        changed = der[:at] + bytes([draw.randrange(256)]) + der[at + draw.randrange(2) :]
        try:
            leaf = certificates.read(changed)
            path = anchors.path(leaf, anchors.certificates, at=NOW)
        except (ValueError, GatewayError):
            continue
        assert path[0].der == der


def test_report_is_made_of_anything(bench: Bench, outside_policies: tuple[Question, ...]) -> None:
    draw = random.Random(3)  # noqa: S311 - a repeatable draw
    documents = [bench.signed(), signer.sign_enveloped(b"<a><b>1</b></a>", bench.rsa)]

    for _ in range(ROUNDS // 3):
        changed = draw.choice((by_byte, by_element))(draw, draw.choice(documents))
        for question in outside_policies:
            told = verify_file(changed, question).as_json()
            assert told["valid"] is (told["code"] is None)


@pytest.fixture
def outside_policies(bench: Bench) -> tuple[Question, ...]:
    return (
        Question(at=NOW, registry=bench.trust, directory=People()),
        Question(at=NOW, policy=PERMISSIVE, trusted=bench.rsa.certificates, key=b"key"),
    )
