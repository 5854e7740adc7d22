"""What a cause means, in words."""

import pytest

from gateway.errors import explain, remedy
from gateway.outbox.causes import meaning
from gateway.outbox.circuit import AWAY


@pytest.mark.parametrize(
    "cause", sorted({*AWAY, "http-404", "reply-unreadable", "reply-other", "no-address", "no-answer", "died", "defect"})
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_code_of_the_gateway_is_explained_with_advice(cause: str, language: str) -> None:
    problem = meaning(cause, "BNN")

    assert problem is not None
    assert "BNN" in explain(problem, language)
    assert remedy(problem, language)


@pytest.mark.parametrize("cause", ["", "ERR02: Sai m\u00e3", "redirected: merged", "hub-fault"])
def test_words_of_others_stand_for_themselves(cause: str) -> None:
    assert meaning(cause, "BNN") is None


def test_status_of_an_answer_is_named() -> None:
    problem = meaning("http-503", "BNN")

    assert problem is not None
    assert explain(problem, "en") == "The server of party BNN answered HTTP 503 instead of a result."
