"""Who vouches for certificates: the issuers above them as far as they are known, and what these said of their revocation."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from gateway.errors import GatewayError
from gateway.security.certificates import Certificate

from .stamping import Stamps
from .standing import by_subject, chain_of
from .timestamps import certificates_in

Statuses = Callable[[Certificate, Certificate], Iterable[tuple[str, bytes]]]  # a certificate, its issuer -> "crl" or "ors", and it in DER


def vouched(
    certificates: Iterable[Certificate], issuers: Sequence[Certificate], statuses: Statuses
) -> tuple[frozenset[Certificate], Mapping[str, bytes]]:
    """Give certificates with those above them, and by file name the lists and answers that are held of each."""
    found, said = set(certificates), {}
    index = by_subject((*found, *issuers))
    for leaf in tuple(found):
        chain = chain_of(leaf, index)
        found.update(chain)
        for certificate, issuer in pairwise(chain):
            said.update({f"{hashlib.sha256(data).hexdigest()}.{kind}": data for kind, data in statuses(certificate, issuer)})
    return frozenset(found), dict(sorted(said.items()))


def followed(own: Iterable[Certificate], stamps: Stamps, issuers: Sequence[Certificate]) -> tuple[tuple[Certificate, Certificate], ...]:
    """Give the certificates whose status containers will need, each with its issuer: the gateway's, and the time-stamp authority's.

    Raises Unavailable.
    """
    last = stamps.last()
    leaves = (*own, *(certificates_of(last[1].token) if last else ()))
    index = by_subject((*leaves, *issuers))
    return tuple(dict.fromkeys(pair for leaf in leaves for pair in pairwise(chain_of(leaf, index))))


def certificates_of(token: bytes) -> tuple[Certificate, ...]:
    """Give the certificates that came with a time-stamp; none where it cannot be read."""
    try:
        return certificates_in(token)
    except GatewayError:
        return ()
