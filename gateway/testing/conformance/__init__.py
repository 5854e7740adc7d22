"""One suite a seam: tuples of named checks that every implementation must pass, for any test runner.

@pytest.mark.parametrize("check", adapter_suite.CHECKS, ids=lambda check: check.__name__)
def test_my_adapter(check): check(subject)
"""
