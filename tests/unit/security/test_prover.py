"""Who a message is from: signatures, channels, exceptions and what each of them proves."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from gateway.errors import Code, GatewayError
from gateway.model import Channel, PartyCode
from gateway.security import signer
from gateway.security.prover import Prover
from gateway.testing import builders
from gateway.testing.signing import NOW, Bench, People, relay, unsigned

OUTSIDE = Channel(kind="network", name="192.0.2.7")


def check_of(refusal: GatewayError) -> str:
    return refusal.problems[0].values["check"]


def test_signed_message_is_proved_by_its_signature(bench: Bench) -> None:
    proven = bench.prove(bench.signed(), channel=OUTSIDE)

    assert (proven.proof, proven.sender.code, proven.warnings) == ("signature", "NSW", ())


def test_unsigned_message_on_the_bound_network_is_proved_by_it(bench: Bench) -> None:
    proven = bench.prove(builders.message("13/07"))

    assert (proven.proof, proven.sender.code, proven.signers) == ("network", "BNN", ())
    assert [w.text for w in proven.warnings] == ["signature.by-channel"]


def test_sig_20_unknown_sender_is_refused(bench: Bench) -> None:
    payload = bench.envelope().replace(b"NSW", b"XYZ").replace(b"BTC", b"XYZ").replace(b"TCHQ", b"XYZ")

    refusal = bench.refused(payload)

    assert (refusal.code, check_of(refusal)) == (Code.PARTY, "20")


def test_sender_is_found_by_any_field_the_most_exact_first(bench: Bench) -> None:
    payload = builders.message("13/07").replace(b"<identity>BNN</identity>", b"<identity>0100000000</identity>")

    assert bench.prove(payload).sender.code == "BNN"


def test_sig_21_channel_of_another_party_is_refused(bench: Bench) -> None:
    channel = Channel(kind="key", name="ministry", party=PartyCode("BNN"))

    refusal = bench.refused(bench.signed(), channel=channel)

    assert (refusal.code, check_of(refusal)) == (Code.PARTY, "21")


def test_sig_21_channel_of_a_party_that_sends_for_the_sender_is_taken(bench: Bench) -> None:
    channel = Channel(kind="key", name="relay", party=PartyCode("HQ"))

    assert bench.prove(bench.signed(), channel=channel).sender.code == "NSW"


def test_sig_22_missing_system_signature_is_refused(bench: Bench) -> None:
    refusal = bench.refused(bench.signed(bare=True))

    assert (refusal.code, refusal.problems[0].text) == (Code.SIGNATURE, "signature.system-missing")


def test_sig_22_exception_ends_at_its_date(bench: Bench) -> None:
    people = People(unsigned("BNN", until=NOW))

    refusal = bench.refused(builders.message("13/07"), people=people)

    assert refusal.problems[0].text == "signature.exception-ended"
    assert bench.prove(builders.message("13/07"), people=people, at=NOW - timedelta(seconds=1)).proof == "network"


def test_sig_22_exception_without_a_binding_proves_nothing(bench: Bench) -> None:
    refusal = bench.refused(builders.message("13/07"), people=People(unsigned("BNN", bound_to=())))

    assert (refusal.code, refusal.problems[0].text) == (Code.PARTY, "signature.channel-not-bound")


@pytest.mark.parametrize(
    ("channel", "bound_to"),
    [
        (Channel(kind="network", name="127.0.0.1"), "network:127.0.0.0/8"),
        (Channel(kind="network", name="::ffff:127.0.0.1"), "network:127.0.0.0/8"),
        (Channel(kind="network", name="2001:db8::7"), "network:2001:db8::/32"),
        (Channel(kind="key", name="ministry", party=PartyCode("BNN")), "key:ministry"),
        (Channel(kind="certificate", name="ab" * 32), "certificate:" + "ab" * 32),
    ],
)
def test_sig_22_bound_channel_is_taken(bench: Bench, channel: Channel, bound_to: str) -> None:
    people = People(unsigned("BNN", bound_to=("key:other", bound_to)))

    assert bench.prove(builders.message("13/07"), channel=channel, people=people).proof == channel.kind


@pytest.mark.parametrize(
    ("channel", "bound_to"),
    [
        (OUTSIDE, "network:127.0.0.0/8"),
        (Channel(kind="open", name="127.0.0.1"), "network:127.0.0.0/8"),
        (Channel(kind="key", name="127.0.0.1"), "network:127.0.0.0/8"),
        (Channel(kind="network", name="not an address"), "network:127.0.0.0/8"),
        (Channel(kind="network", name="127.0.0.1"), "network:not a network"),
        (Channel(kind="key", name="ministry"), "key:ministry2"),
        (Channel(kind="certificate", name=""), "certificate:" + "ab" * 32),
    ],
)
def test_sig_22_other_channel_is_refused(bench: Bench, channel: Channel, bound_to: str) -> None:
    people = People(unsigned("BNN", bound_to=(bound_to,)))

    refusal = bench.refused(builders.message("13/07"), channel=channel, people=people)

    assert check_of(refusal) == "22"


def test_signature_that_nobody_asked_for_is_verified_all_the_same(bench: Bench) -> None:
    broken = bench.signed(person=False).replace(b"<version>1.0", b"<version>2.0")

    assert check_of(bench.refused(broken, people=People(unsigned("NSW")))) == "16"


def test_signature_after_the_exception_ended_is_enough(bench: Bench) -> None:
    people = People(unsigned("NSW", until=NOW - timedelta(days=1)))

    assert bench.prove(bench.signed(), channel=OUTSIDE, people=people).proof == "signature"


def test_sig_23_signature_of_another_party_is_refused(bench: Bench) -> None:
    people = People(builders.party("NSW", signature="xmldsig"), builders.party("HQ", signature="xmldsig"))

    refusal = bench.refused(bench.signed(system=bench.relay), people=people)

    assert (refusal.code, refusal.problems[0].text) == (Code.PARTY, "signature.signer-not-sender")
    assert check_of(refusal) == "23"


def test_sig_23_signature_of_a_party_that_sends_for_the_sender_is_taken(bench: Bench) -> None:
    people = People(builders.party("NSW", signature="xmldsig"), relay())

    assert bench.prove(bench.signed(system=bench.relay), people=people).proof == "signature"


def test_sending_for_another_works_in_one_direction(bench: Bench) -> None:
    people = People(replace(relay(), code=PartyCode("HQ")), builders.party("NSW", signature="xmldsig"))
    payload = signer.sign_system(bench.envelope().replace(b"<identity>NSW<", b"<identity>HQ<"), bench.portal)

    assert check_of(bench.refused(payload, people=people)) == "23"


@pytest.mark.parametrize("payload", [b"", b"not xml", b"<a/>", b"<Envelope/>", b"<Envelope><Header/></Envelope>"])
def test_what_is_no_envelope_is_refused_in_words(bench: Bench, payload: bytes) -> None:
    assert bench.refused(payload).problems


def test_text_in_place_of_a_signature_is_malformed_not_absent(bench: Bench) -> None:
    payload = builders.message("13/07").replace(b"</Body>", b"<Signature>abc</Signature></Body>")

    refusal = bench.refused(payload)

    assert (refusal.code, check_of(refusal)) == (Code.SIGNATURE, "2")


@pytest.mark.parametrize("slot", [b"<Signature></Signature>", b"<Signature>\n </Signature>"])
def test_empty_slot_counts_as_absent(bench: Bench, slot: bytes) -> None:
    payload = builders.message("13/07").replace(b"</Body>", slot + b"</Body><SystemSignature> </SystemSignature>")

    assert bench.prove(payload).signers == ()


PORTAL = builders.party("NSW", signature="xmldsig")


def prover(bench: Bench) -> Prover:
    return Prover(bench.trust, lambda: NOW, UTC)


def test_reply_of_the_partner_is_proved(bench: Bench) -> None:
    found = prover(bench).prove_reply(bench.signed(person=False), PORTAL)

    assert found is not None
    assert found.subject == bench.portal.certificates[0].subject


@pytest.mark.parametrize("payload", [None, b"not xml", b"<Envelope/>"])
def test_unsigned_reply_proves_nothing(bench: Bench, payload: bytes | None) -> None:
    assert prover(bench).prove_reply(payload, PORTAL) is None


def test_reply_signed_by_another_is_refused(bench: Bench) -> None:
    with pytest.raises(GatewayError) as refused:
        prover(bench).prove_reply(bench.signed(person=False, system=bench.relay), PORTAL)

    assert check_of(refused.value) == "18"


def test_changed_reply_is_refused(bench: Bench) -> None:
    with pytest.raises(GatewayError) as refused:
        prover(bench).prove_reply(bench.signed(person=False).replace(b"<version>1.0", b"<version>2.0"), PORTAL)

    assert check_of(refused.value) == "16"
