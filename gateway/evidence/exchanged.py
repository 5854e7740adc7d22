"""The checks of a container that look into messages (EVIDENCE, 11 to 15): documents, signatures, attachments, revocation, receipts."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import zip_longest

from gateway.errors import GatewayError
from gateway.security.certificates import Certificate
from gateway.security.general import verify_file
from gateway.security.question import Question
from gateway.store.times import from_micros
from gateway.xml.receipts import differences

from .answers import ANSWER, ANSWERED, BODY, DOCUMENT, REQUEST
from .case import Case, Leaf, known
from .findings import Finding, remark, seen, wrong
from .messages import Message, certificates_in, open_message, prove
from .record import AttachmentPart, MessagePart, ReceiptPart
from .standing import Standing
from .timestamps import stamped_by

Use = tuple[Certificate, datetime]
_TELLS_DIGEST = frozenset({"message.accepted", "message.refused", "message.written"})
_REPLY, _ANSWER = "reply", "answer"  # what events call the digest of a partner's answer and of ours; the first ones have none
_NO_LEAF: Leaf = {}


def documents(case: Case) -> Iterator[Finding]:
    """(11) each document, and each request that left with it, is the one that the ledger tells of."""
    for message, leaves in case.told:
        told = [leaf["sha256"] for leaf in leaves if leaf.get("kind") in _TELLS_DIGEST and "sha256" in leaf]
        name = _place(message, BODY if message.state == "refused" else DOCUMENT)
        if name in case.files and case.files.digest(name).hex() not in told:
            yield wrong("document", name)
        elif name not in case.files and not _is_purged(leaves):
            yield wrong("document-missing", name)
        yield from _requests(case, message, leaves)


def signatures(case: Case) -> Iterator[Finding]:
    """(12) each document's signatures hold, by the certificates that the ledger tells of."""
    for message, leaves in case.told:
        accepted = _accepted(leaves)
        named = str(accepted.get("signers", "")).split()
        signers = [case.certificates[s] for s in named if s in case.certificates]
        if len(signers) != len(named):
            yield wrong("signer-missing", _place(message, DOCUMENT))
        elif signers and _place(message, DOCUMENT) in case.files:
            yield from _signed(case, message, signers, at=_time(accepted))


def attachments(case: Case) -> Iterator[Finding]:
    """(13) each attachment is the one that the ledger and the record tell of, and there is no other."""
    for message, leaves in case.told:
        told = str(_accepted(leaves).get("attachments", "")).split()
        if told and not message.attachments and _is_purged(leaves):
            yield seen("attachments-purged", message.id, count=str(len(told)))
            continue
        for number, (sha256, part) in enumerate(zip_longest(told, message.attachments), start=1):
            if sha256 is None or part is None or (part.number, part.sha256) != (number, sha256):
                yield wrong("attachment-told", part.file if part else message.id, number=str(number))
            else:
                yield from _attached(case, message, part)
        named = {part.file for part in message.attachments}
        for name in (n for n in case.files if n.startswith(_place(message, "attachments/")) and n not in named):
            yield wrong("attachment-told", name, number="-")


def revocation(case: Case) -> Iterator[Finding]:
    """(14) nobody who signed was revoked by then, as far as the data that came along say."""
    judged: dict[tuple[Certificate, str], Standing] = {}
    for certificate, at in _uses(case):
        for standing in case.standings.judge(certificate, at):
            judged.setdefault((standing.certificate, standing.word), standing)
    for standing in judged.values():
        if standing.word == "revoked":
            yield standing.problem
    good = [standing for standing in judged.values() if standing.word == "good"]
    certificates = {certificate for certificate, _ in judged}
    yield seen("status-summary", good=str(len(good)), count=str(len(certificates)))
    for standing in judged.values():
        if standing.word not in ("good", "revoked"):
            yield remark(f"status-{standing.word}", **standing.problem.values)


def receipts(case: Case) -> Iterator[Finding]:
    """(15) the answers of both sides: who signed them, that the signatures hold, and that they are about what was sent."""
    for message, leaves in case.told:
        for receipt in message.receipts:
            yield from _receipt(case, message, leaves, receipt)
        named = {receipt.file for receipt in message.receipts}
        for name in message.files:
            if name.endswith((f"/{ANSWER}", "-reply.bin")) and name not in named:
                yield wrong("receipt-not-named", name)
        if (left_out := _left_out(message, leaves)) and not _is_purged(leaves):
            yield seen("receipts-left-out", message.id, count=str(left_out))


# --- signatures ----------------------------------------------------------------------------------------------------------


def _signed(case: Case, message: MessagePart, signers: Sequence[Certificate], *, at: datetime) -> Iterator[Finding]:
    """Judge the signatures in the document, and those of signers that are none in it: they signed the request around it."""
    name, around = _place(message, DOCUMENT), _place(message, BODY)
    document = case.files[name]
    report = verify_file(document, Question(at=at, trusted=tuple(signers), read_stamp=case.read_stamp))
    if report.signatures and not report.valid:
        yield wrong("document-signature", name)
    inside = certificates_in(open_message(document)) if report.signatures else ()
    outside = [signer for signer in signers if signer not in inside]
    if outside and around not in case.files:
        yield remark("signature-around", name, count=str(len(outside)))
    elif outside and not _proves(open_message(case.files[around]), document, outside, case, at=at):
        yield wrong("document-signature", around)


def _proves(around: Message, document: bytes, signers: Iterable[Certificate], case: Case, *, at: datetime) -> bool:
    """Say whether each of the signers signed a request that holds this very document."""
    wanted = set(signers)
    try:
        found = prove(around, at=at, registered=wanted.__contains__, read_stamp=case.read_stamp)
    except GatewayError:
        return False
    return wanted <= set(found) and around.envelope == document


# --- who signed when -----------------------------------------------------------------------------------------------------


def _uses(case: Case) -> Iterator[Use]:
    """Give every certificate that something in the container rests on, and the moment for which it counts."""
    seal = known(case.seal)
    yield seal.chain[0], seal.at
    for signed in case.heads.values():
        if signed.head.key in case.certificates:
            yield case.certificates[signed.head.key], signed.head.at
    for head in known(case.record).heads:
        if head.stamp in case.files and head.stamped_at:
            yield stamped_by(case.files[head.stamp], case.known_certificates), head.stamped_at
    for message, leaves in case.told:
        accepted = _accepted(leaves)
        at = _time(accepted) if accepted else message.received_at
        yield from ((case.certificates[s], at) for s in str(accepted.get("signers", "")).split() if s in case.certificates)
        yield from ((case.certificates[r.signer], r.at) for r in message.receipts if r.signer in case.certificates)


def _requests(case: Case, message: MessagePart, leaves: Sequence[Leaf]) -> Iterator[Finding]:
    """Compare what left with what its sending told of it; a replay counts attempts anew. What was sent before that was told has none."""
    told: dict[str, list[object]] = {}
    for leaf in (leaf for leaf in leaves if leaf.get("kind") == "delivery.sending"):
        name = f"deliveries/{leaf.get('delivery')}/{str(leaf.get('attempt')).zfill(2)}{REQUEST}"
        told.setdefault(_place(message, name), []).append(leaf.get("sha256"))
    for name, digests in told.items():
        if name in case.files and case.files.digest(name).hex() not in digests:
            yield wrong("request", name)


def _attached(case: Case, message: MessagePart, part: AttachmentPart) -> Iterator[Finding]:
    """Compare an attachment's file, where it came along, with what is told of it."""
    if not part.file:
        yield remark("attachment-left-out", message.id, number=str(part.number), sha256=part.sha256)
    elif part.file not in case.files:
        yield wrong("attachment-missing", part.file)
    elif (case.files.digest(part.file).hex(), case.files.size(part.file)) != (part.sha256, part.size):
        yield wrong("attachment", part.file)


# --- receipts ------------------------------------------------------------------------------------------------------------


def _receipt(case: Case, message: MessagePart, leaves: Sequence[Leaf], receipt: ReceiptPart) -> Iterator[Finding]:
    """Judge an answer: the gateway's own must be signed by a certificate that is trusted, a partner's by the one that is told."""
    if receipt.file not in case.files:
        yield wrong("receipt-missing", receipt.file)
        return
    event = next((leaf for leaf in leaves if _tells(leaf, receipt)), _NO_LEAF)
    if not event:
        yield wrong("receipt-event", receipt.file)
    if event.get(_REPLY if receipt.delivery else _ANSWER, told := case.files.digest(receipt.file).hex()) != told:
        yield wrong("receipt-digest", receipt.file)
    if event.get("outcome") == "failed":  # an answer that the gateway did not take is nobody's receipt
        yield seen("receipt-not-taken", receipt.file)
        return
    found, ours = open_message(case.files[receipt.file]), not receipt.delivery
    try:
        signers = prove(found, at=receipt.at, registered=lambda c: not ours or case.is_gateways(c, receipt.at), read_stamp=case.read_stamp)
    except GatewayError as refused:
        yield wrong("receipt-signature", receipt.file, cause=refused.problems[0].text)
        return
    if (signers[0].sha256 if signers else "") != receipt.signer:
        yield wrong("receipt-signer", receipt.file)
    elif not signers:
        yield seen("receipt-unsigned", receipt.file)
    else:
        vouched = (case.trusts if ours else case.vouches)(signers[0], receipt.at)
        say, word = (seen, "receipt-signed") if vouched else (remark, "receipt-unvouched")
        yield say(word, receipt.file, subject=signers[0].subject)
    yield from _matched(case, message, receipt, found)


def _matched(case: Case, message: MessagePart, receipt: ReceiptPart, found: Message) -> Iterator[Finding]:
    """Compare an answer with what it answers, as far as it says what that is."""
    ours = not receipt.delivery
    about = _place(message, DOCUMENT) if ours else receipt.about
    if ours and not _is_about(found, message):
        yield wrong("receipt-other", receipt.file, found="id")
    asked = open_message(case.files[about]).header if about in case.files else None
    told = found.header
    if asked and told and (others := differences(asked.subject, told.subject)):
        yield wrong("receipt-other", receipt.file, found=", ".join(others))


def _is_about(found: Message, message: MessagePart) -> bool:
    """Say whether the gateway's own answer names the message: in an envelope's header, or in JSON."""
    if found.header is not None:
        return found.header.id == message.id
    try:
        told = json.loads(found.whole)
    except ValueError:
        return True  # a fault, which names nothing
    return not isinstance(told, dict) or told.get("id", message.id) == message.id


def _left_out(message: MessagePart, leaves: Iterable[Leaf]) -> int:
    """Count the partners' answers that the ledger tells of and that are not here."""
    here = {(receipt.delivery, receipt.at) for receipt in message.receipts}
    return sum(_REPLY in leaf and (leaf.get("delivery"), _time(leaf)) not in here for leaf in leaves)


def _tells(leaf: Leaf, receipt: ReceiptPart) -> bool:
    """Say whether an event is the one that an answer belongs to."""
    if receipt.delivery:
        same = leaf.get("kind") == "delivery.settled" and leaf.get("delivery") == receipt.delivery
    else:
        same = leaf.get("kind") in ANSWERED
    return same and _time(leaf) == receipt.at


# --- leaves --------------------------------------------------------------------------------------------------------------


def _accepted(leaves: Iterable[Leaf]) -> Leaf:
    return next((leaf for leaf in leaves if leaf.get("kind") == "message.accepted"), _NO_LEAF)


def _is_purged(leaves: Iterable[Leaf]) -> bool:
    return any(leaf.get("kind") == "message.purged" for leaf in leaves)


def _time(leaf: Leaf) -> datetime:
    return from_micros(int(str(leaf["at"])))


def _place(message: MessagePart, name: str) -> str:
    return f"messages/{message.id}/{name}"
