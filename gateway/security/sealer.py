"""Signs what leaves, by the receiver's profile, with the gateway's key."""

from collections.abc import Callable, Collection
from dataclasses import replace

from gateway.errors import Code, NotValid, Problem, Unavailable
from gateway.model import BESIDE, ON_MESSAGE, Request
from gateway.ports import Clock

from . import beside, cms, signer, wss, xades
from .certificates import Certificate
from .keys import SigningKey
from .policy import SYSTEM
from .xades import Validation

XADES_LEVELS = ("xades-b-b", "xades-b-t", "xades-b-lt")
Stamp = Callable[[bytes], bytes]  # what to cover -> a time-stamp token; raises Unavailable
Validate = Callable[[], Validation]  # what verifies the gateway's own signature later; raises Unavailable


class EnvelopeSealer:
    """Implements ports.Sealer: XML-DSig or XAdES in the envelope, WS-Security on the message around it, CMS beside that message."""

    def __init__(self, key: SigningKey, clock: Clock, *, stamp: Stamp | None = None, validate: Validate | None = None) -> None:
        """Seal with the gateway's key; `stamp` and `validate` are asked only for receivers that want XAdES-B-T and B-LT."""
        self._key = key
        self._clock = clock
        self._stamp = stamp
        self._validate = validate

    @property
    def certificate(self) -> Certificate:
        """The certificate that partners verify with."""
        return self._key.certificates[0]

    def renew(self, key: SigningKey) -> None:
        """Seal with another key from now on; whatever is being signed keeps the one it began with."""
        self._key = key

    def seal(self, request: Request) -> Request:
        """Sign the request's document and wrap it; a request without a Seal passes unchanged.

        Raises NotValid for a profile or an algorithm that cannot be had, Unavailable where a time-stamp or validation data are.
        """
        seal = request.seal
        if seal is None or seal.profile == "none":
            return request
        self._check(seal.algorithms)
        if seal.profile in BESIDE:
            return self._beside(request, seal.wrap(seal.document), seal.profile)
        if seal.profile in ON_MESSAGE:
            return replace(request, body=self.sign(seal.wrap(seal.document), seal.profile), seal=None)
        return replace(request, body=seal.wrap(self.sign(seal.document, seal.profile)), seal=None)

    def sign(self, document: bytes, profile: str) -> bytes:
        """Sign an envelope, or for a profile in ON_MESSAGE the message around one; raises what seal does.

        For a profile in BESIDE it gives the signature alone.
        """
        if profile == "xmldsig":
            return signer.sign_system(document, self._key)
        if profile in BESIDE:
            return cms.sign(document, self._key, at=self._clock())
        if profile in ON_MESSAGE:
            return wss.sign(document, self._key, at=self._clock())
        if profile not in XADES_LEVELS:
            raise NotValid(Code.SIGNATURE, Problem(text="signature.seal-unknown", values={"found": profile}))
        signed = xades.sign_system(document, self._key, at=self._clock())
        return signed if profile == "xades-b-b" else self._extended(signed, profile)

    def _beside(self, request: Request, body: bytes, profile: str) -> Request:
        """Send what a request would have sent in one body with its signature."""
        kind = request.headers.get("content-type", beside.XML)
        both = beside.write(body, self.sign(body, profile), document_type=kind)
        headers = {**request.headers, "content-type": beside.media_type(both, document_type=kind)}
        return replace(request, body=both, headers=headers, seal=None)

    def _check(self, accepted: Collection[str]) -> None:
        """Refuse to sign by an algorithm that the receiver does not take."""
        name = self._key.algorithm.rpartition("#")[2]
        if accepted and name not in accepted:
            raise NotValid(
                Code.SIGNATURE, Problem(text="signature.seal-algorithm", values={"found": name, "expected": ", ".join(accepted)})
            )

    def _extended(self, signed: bytes, profile: str) -> bytes:
        validate = self._validate if profile == "xades-b-lt" else Validation
        if self._stamp is None or validate is None:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="signature.no-authority", values={"profile": profile}))
        token = self._stamp(xades.to_be_stamped(signed, SYSTEM))
        return xades.extend(signed, SYSTEM, token=token, validation=validate())
