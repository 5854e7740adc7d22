"""One development PKI for all security tests: making keys takes longer than using them."""

import pytest

from gateway.testing.signing import Bench, make_bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(tmp_path_factory.mktemp("pki"))
