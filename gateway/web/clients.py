"""Whose a client's certificate is, and whether it may still be used: a look at what the registry holds, for which no request waits."""

from datetime import datetime

from gateway.errors import Code, NotProven, Problem
from gateway.model import PartyCode
from gateway.ports import Directory
from gateway.security.certificates import Certificate
from gateway.security.trust import Registry

TEXTS = {"signature.revoked-known": "web.certificate-revoked", "signature.status-unknown": "web.certificate-status"}


def owner_of(sha256: str, registry: Registry, directory: Directory, *, at: datetime) -> PartyCode | None:
    """Give the party that alone registered a certificate; None where nobody did, or several, to whom it proves neither.

    Raises NotProven(NOT_ALLOWED) where it was revoked, here or by its authority, where its party requires a status that is not known,
    and where it is not in force: TLS looks at that when a session begins, and a session may outlast the certificate. Of a certificate
    that nobody registered only that is known which TLS found.
    """
    if sha256 in registry.revoked:
        raise _refused("web.certificate-withdrawn", sha256=sha256)
    certificate = registry.by_sha256.get(sha256)
    if certificate is None:
        return None
    if not certificate.valid_at(at):
        since, to = certificate.not_before.isoformat(), certificate.not_after.isoformat()
        raise _refused("web.certificate-ended", subject=certificate.subject, since=since, to=to)
    owners = registry.owners_of(certificate)
    for owner in owners:
        _check_status(certificate, owner, registry, directory, at=at)
    return next(iter(owners)) if len(owners) == 1 else None


def _check_status(certificate: Certificate, owner: PartyCode, registry: Registry, directory: Directory, *, at: datetime) -> None:
    """Hold a certificate to the rule of its party, as a signature is; a party that no rule names has the rule that is the default."""
    party = directory.party(owner)
    try:
        registry.check_status(certificate, party.revocation if party else "prefer", at=at)
    except NotProven as error:
        found = error.problems[0]
        raise _refused(TEXTS[found.text], **found.values) from error


def _refused(text: str, **values: str) -> NotProven:
    return NotProven(Code.NOT_ALLOWED, Problem(text=text, values=values))
