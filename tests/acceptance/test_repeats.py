"""A message that is sent again: the same answer, one effect."""

import json
import threading
import uuid
from typing import Any

import pytest
from lxml import etree

from gateway.security.signer import sign_person, sign_system
from gateway.testing import builders
from gateway.testing.applicant import declarant_key, party_key
from gateway.testing.client import post
from gateway.testing.vnsw import SOAP_REQUEST, read_answer


def accepted(doors: Any, reference: str) -> list[Any]:
    return [row for row in doors.traveller.messages(reference=reference, state="accepted") if row["type"] == "10"]


def test_identical_bytes_get_identical_bytes_back(doors: Any) -> None:
    about = doors.traveller.application()
    body = builders.soap(doors.application(about=about))

    first, second = doors.soap(body), doors.soap(body)

    assert (first.status, first.body) == (second.status, second.body)
    assert read_answer(first.body).function == "99"
    assert len(accepted(doors, about.file_code)) == 1


def test_identical_bytes_to_the_rest_door_get_the_first_receipt(doors: Any) -> None:
    envelope = doors.application()

    first, second = doors.rest(envelope), doors.rest(envelope)

    assert (first.status, first.body, first.headers["location"]) == (second.status, second.body, second.headers["location"])


def test_a_message_that_is_signed_again_gets_the_first_answer(doors: Any) -> None:
    about = doors.traveller.application()
    one, other = doors.application(about=about), doors.application(about=about)
    assert one != other  # sent later, and every signature is another

    first, second = doors.soap(builders.soap(one, client="wcf")), doors.soap(builders.soap(other, client="saaj"))

    assert first.body == second.body
    assert len(accepted(doors, about.file_code)) == 1


def test_a_message_that_is_wrapped_otherwise_gets_the_first_answer(doors: Any) -> None:
    envelope = doors.application()

    answers = {doors.soap(builders.soap(envelope, client=client)).body for client in builders.CLIENTS}

    assert len(answers) == 1


def test_the_same_id_with_other_content_is_refused(doors: Any) -> None:
    about, other = doors.traveller.application(), doors.traveller.application()
    number = str(uuid.uuid4())
    assert doors.call(doors.application(about=about, message_id=number)).function == "99"

    answer = doors.call(doors.application(about=other, message_id=number))

    assert (answer.function, answer.errors[0][0]) == ("00", "ERR00_CODE")
    assert accepted(doors, other.file_code) == []


def test_a_conflicting_repeat_at_the_rest_door_is_409(doors: Any) -> None:
    number = str(uuid.uuid4())
    doors.rest(doors.application(message_id=number))

    reply = doors.rest(doors.application(message_id=number))

    assert (reply.status, json.loads(reply.body)["code"]) == (409, "conflict")


def test_a_refused_message_that_is_corrected_under_the_same_id_is_accepted(doors: Any) -> None:
    about, pki = doors.traveller.application(), doors.traveller.world.gateway.pki
    wrong = builders.message("10/01", about).replace(b"HsCode", b"HSCode")
    signed = sign_system(sign_person(wrong, declarant_key(pki)), party_key(pki))
    assert doors.call(signed).function == "00"

    answer = doors.call(doors.application(about=about))

    assert answer.function == "99"
    assert len(accepted(doors, about.file_code)) == 1


def test_a_refused_message_is_judged_anew_each_time(doors: Any) -> None:
    body = builders.soap(b"xin chao")

    first, second = doors.soap(body), doors.soap(body)

    assert read_answer(first.body).function == read_answer(second.body).function == "00"
    assert first.body != second.body


@pytest.mark.parametrize("signed_anew", [False, True])
def test_sixteen_repeats_at_once_have_one_effect(doors: Any, signed_anew: bool) -> None:  # noqa: FBT001  # a parameter of a test
    about = doors.traveller.application()
    one = doors.application(about=about)
    bodies = [builders.soap(doors.application(about=about) if signed_anew else one) for _ in range(16)]
    answers: list[bytes] = []
    url = f"{doors.url}/ws"
    threads = [threading.Thread(target=lambda b=b: answers.append(post(url, b, SOAP_REQUEST, timeout=15).body)) for b in bodies]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 16
    assert len(set(answers)) == 1
    [row] = accepted(doors, about.file_code)
    assert len(doors.get(f"/api/v1/deliveries?message={row['id']}")["items"]) == 1


def test_an_idempotency_key_stands_for_one_document(doors: Any) -> None:
    about = doors.traveller.application()
    headers = {"content-type": "application/xml", "idempotency-key": str(uuid.uuid4())}
    first = doors.rest(doors.application(about=about), headers=headers)

    again = doors.rest(doors.application(about=about), headers=headers)
    other = doors.rest(doors.application(), headers=headers)

    assert (first.status, again.body) == (202, first.body)
    assert (other.status, json.loads(other.body)["code"]) == (409, "conflict")


def test_an_idempotency_key_that_first_comes_with_a_repeat_stands_for_its_document(doors: Any) -> None:
    document, keyed = doors.application(), {"content-type": "application/xml", "idempotency-key": str(uuid.uuid4())}
    first = doors.rest(document)

    again = doors.rest(document, headers=keyed)
    other = doors.rest(doors.application(), headers=keyed)

    assert (first.status, again.body) == (202, first.body)
    assert (other.status, json.loads(other.body)["code"]) == (409, "conflict")


def test_a_repeat_that_comes_another_way_is_answered_in_its_own_words(doors: Any) -> None:
    about = doors.traveller.application()
    envelope = doors.application(about=about)
    first = doors.rest(envelope)
    assert first.status == 202

    answers = [doors.call(envelope, version=version).function for version in ("1.1", "1.2")]
    service = doors.soap(builders.soap(envelope, namespace=builders.SERVICE_NS))

    assert answers == ["99", "99"]
    assert etree.fromstring(service.body).find(f".//{{{builders.SERVICE_NS}}}responsePayload") is not None
    assert len(accepted(doors, about.file_code)) == 1


def test_a_repeat_at_the_rest_door_names_the_first_message(doors: Any) -> None:
    about = doors.traveller.application()
    envelope = doors.application(about=about)
    assert doors.call(envelope).function == "99"

    receipt = json.loads(doors.rest(envelope).body)

    [row] = accepted(doors, about.file_code)
    assert (receipt["id"], receipt["sha256"]) == (row["id"], row["sha256"])
    assert [d["id"] for d in doors.get(f"/api/v1/deliveries?message={row['id']}")["items"]] == receipt["deliveries"]
