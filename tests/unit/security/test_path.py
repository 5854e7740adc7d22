"""The path to an anchor, with the library's own verifier as a second opinion."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from gateway.errors import GatewayError
from gateway.security.certificates import Certificate
from gateway.security.path import Anchors
from gateway.testing.signing import NOW, PrivateKey, signed_certificate

Extensions = tuple[tuple[x509.ExtensionType, bool], ...]


@dataclass(frozen=True)
class Issued:
    key: PrivateKey
    certificate: Certificate


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def usage(*, signs: bool = False, issues: bool = False, encrypts: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_cert_sign=issues, crl_sign=issues, key_encipherment=encrypts,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def authority_extensions(*, length: int | None = None, ca: bool = True, issues: bool = True) -> Extensions:
    return ((x509.BasicConstraints(ca=ca, path_length=length if ca else None), True), (usage(issues=issues, signs=not issues), True))


LEAF: Extensions = ((usage(signs=True), True),)


def make(
    common: str,
    issuer: Issued | None = None,
    *,
    extensions: Extensions = (),
    key: PrivateKey | None = None,
    days: tuple[int, int] = (-1, 100),
    algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> Issued:
    own = key or ec.generate_private_key(ec.SECP256R1())
    issuer_name = issuer.certificate.x509.subject if issuer else name(common)
    issuer_key = issuer.key if issuer else own
    added = (*extensions, *identifiers(own, issuer_key))
    return Issued(own, signed_certificate(own, issuer_key, name(common), issuer_name, extensions=added, days=days, algorithm=algorithm))


def identifiers(own: PrivateKey, issuer: PrivateKey) -> Extensions:
    return (
        (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False),
    )


def root(**changes: object) -> Issued:
    return make("root", extensions=authority_extensions(), **changes)  # type: ignore[arg-type]


def refused(anchors: tuple[Issued, ...], leaf: Issued, *issuers: Issued, days: int = 0) -> str:
    with pytest.raises(GatewayError) as caught:
        found(anchors, leaf, *issuers, days=days)
    return caught.value.problems[0].text.removeprefix("signature.")


def found(anchors: tuple[Issued, ...], leaf: Issued, *issuers: Issued, days: int = 0) -> list[str]:
    held = Anchors(certificates=tuple(a.certificate for a in anchors))
    path = held.path(leaf.certificate, tuple(i.certificate for i in issuers), at=NOW + timedelta(days=days))
    return [c.subject for c in path]


def test_leaf_issued_by_an_anchor_is_taken() -> None:
    anchor = root()

    assert found((anchor,), make("leaf", anchor, extensions=LEAF)) == ["CN=leaf", "CN=root"]


def test_issuers_in_any_order_lead_to_the_anchor() -> None:
    anchor = root()
    upper = make("upper", anchor, extensions=authority_extensions())
    lower = make("lower", upper, extensions=authority_extensions())
    leaf = make("leaf", lower, extensions=LEAF)

    assert found((anchor,), leaf, upper, lower) == found((anchor,), leaf, lower, upper) == ["CN=leaf", "CN=lower", "CN=upper", "CN=root"]


def test_anchor_need_not_be_a_root() -> None:
    upper = root()
    anchor = make("provider", upper, extensions=authority_extensions())

    assert found((anchor,), make("leaf", anchor, extensions=LEAF)) == ["CN=leaf", "CN=provider"]


def test_missing_issuer_is_named() -> None:
    lower = make("lower", root(), extensions=authority_extensions())

    assert refused((root(),), make("leaf", lower, extensions=LEAF)) == "no-issuer"


def test_nothing_is_trusted_without_anchors() -> None:
    anchor = root()

    assert refused((), make("leaf", anchor, extensions=LEAF), anchor) == "no-issuer"


def test_authority_of_the_same_name_with_another_key_is_refused() -> None:
    assert refused((root(),), make("leaf", root(), extensions=LEAF)) == "issuer-signature"


def test_of_two_anchors_of_one_name_the_right_one_is_found() -> None:
    wrong, right = root(), root()

    assert found((wrong, right), make("leaf", right, extensions=LEAF)) == ["CN=leaf", "CN=root"]


@pytest.mark.parametrize(
    "extensions",
    [(), authority_extensions(ca=False), authority_extensions(issues=False), ((usage(issues=True), True),)],
)
def test_certificate_that_is_no_authority_issues_nothing(extensions: Extensions) -> None:
    anchor = root()
    middle = make("middle", anchor, extensions=extensions)

    assert refused((anchor,), make("leaf", middle, extensions=LEAF), middle) == "issuer-not-ca"


def test_path_longer_than_an_authority_allows_is_refused() -> None:
    anchor = make("root", extensions=authority_extensions(length=0))
    middle = make("middle", anchor, extensions=authority_extensions())

    assert refused((anchor,), make("leaf", middle, extensions=LEAF), middle) == "issuer-not-ca"
    assert found((anchor,), make("leaf", anchor, extensions=LEAF)) == ["CN=leaf", "CN=root"]


@pytest.mark.parametrize("expired", ["root", "middle"])
def test_expired_certificate_on_the_path_is_refused(expired: str) -> None:
    days = {c: (-10, 1 if c == expired else 100) for c in ("root", "middle")}
    anchor = make("root", extensions=authority_extensions(), days=days["root"])
    middle = make("middle", anchor, extensions=authority_extensions(), days=days["middle"])
    leaf = make("leaf", middle, extensions=LEAF)

    assert found((anchor,), leaf, middle)
    assert refused((anchor,), leaf, middle, days=2) == "path-expired"


def test_renewed_authority_leads_on_after_the_old_one_expired() -> None:
    anchor, key = root(), ec.generate_private_key(ec.SECP256R1())
    old = make("middle", anchor, extensions=authority_extensions(), key=key, days=(-10, 1))
    new = make("middle", anchor, extensions=authority_extensions(), key=key)

    assert len(found((anchor,), make("leaf", old, extensions=LEAF), old, new, days=2)) == 3


def test_certificate_signed_with_a_weak_digest_is_refused() -> None:
    anchor = root()

    assert refused((anchor,), make("leaf", anchor, extensions=LEAF, algorithm=hashes.SHA224())) == "issuer-hash"


def test_authority_with_a_short_key_is_refused() -> None:
    anchor = root(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - it must be refused

    assert refused((anchor,), make("leaf", anchor, extensions=LEAF)) == "issuer-key"


@pytest.mark.parametrize("at", ["leaf", "root"])
def test_critical_extension_that_is_not_understood_is_refused(at: str) -> None:
    unknown: Extensions = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)
    anchor = make("root", extensions=authority_extensions() + (unknown if at == "root" else ()))
    leaf = make("leaf", anchor, extensions=LEAF + (unknown if at == "leaf" else ()))

    assert refused((anchor,), leaf) == "issuer-extension"


def test_name_constraints_are_refused_rather_than_half_understood() -> None:
    constraints = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.vn")], excluded_subtrees=None)
    anchor = make("root", extensions=(*authority_extensions(), (constraints, True)))

    assert refused((anchor,), make("leaf", anchor, extensions=LEAF)) == "issuer-extension"


def test_sig_19_certificate_for_encryption_may_not_sign() -> None:
    anchor = root()

    assert refused((anchor,), make("leaf", anchor, extensions=((usage(encrypts=True), True),))) == "key-usage"


def test_certificates_that_issue_each_other_end_the_search() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    seed = [make(n, extensions=authority_extensions(), key=k) for n, k in zip("ab", keys, strict=True)]
    crossed = [make(n, seed[1 - i], extensions=authority_extensions(), key=keys[i]) for i, n in enumerate("ab")]

    assert refused((root(),), make("leaf", crossed[0], extensions=LEAF), *crossed, *seed) == "no-issuer"


def test_many_authorities_of_one_name_cost_a_bounded_search() -> None:
    crowd = [root() for _ in range(40)]

    assert refused(tuple(crowd), make("leaf", root(), extensions=LEAF)) == "issuer-signature"


def library(anchors: tuple[Issued, ...], leaf: Issued, *issuers: Issued, days: int = 0) -> bool:
    store = verification.Store([a.certificate.x509 for a in anchors])
    policy = verification.ExtensionPolicy.webpki_defaults_ca()
    builder = verification.PolicyBuilder().store(store).time(NOW + timedelta(days=days))
    builder = builder.extension_policies(ca_policy=policy, ee_policy=verification.ExtensionPolicy.permit_all())
    try:
        builder.build_client_verifier().verify(leaf.certificate.x509, [i.certificate.x509 for i in issuers])
    except verification.VerificationError:
        return False
    return True


def good_chain() -> tuple[tuple[Issued, ...], Issued, Issued]:
    anchor = root()
    middle = make("middle", anchor, extensions=authority_extensions(length=0))
    return (anchor,), make("leaf", middle, extensions=LEAF), middle


def foreign_anchor() -> tuple[tuple[Issued, ...], Issued, Issued]:
    _, leaf, middle = good_chain()
    return (root(),), leaf, middle


def not_an_authority() -> tuple[tuple[Issued, ...], Issued, Issued]:
    anchor = root()
    middle = make("middle", anchor, extensions=LEAF)
    return (anchor,), make("leaf", middle, extensions=LEAF), middle


def too_long() -> tuple[tuple[Issued, ...], Issued, Issued]:
    anchor = make("root", extensions=authority_extensions(length=0))
    middle = make("middle", anchor, extensions=authority_extensions())
    return (anchor,), make("leaf", middle, extensions=LEAF), middle


@pytest.mark.parametrize("days", [0, 1000])
@pytest.mark.parametrize("chain", [good_chain, foreign_anchor, not_an_authority, too_long])
def test_library_comes_to_the_same_result(chain: Callable[[], tuple[tuple[Issued, ...], Issued, Issued]], days: int) -> None:
    anchors, leaf, middle = chain()
    try:
        ours = bool(found(anchors, leaf, middle, days=days))
    except GatewayError:
        ours = False

    assert ours == library(anchors, leaf, middle, days=days)
    assert ours == (chain is good_chain and days == 0)
