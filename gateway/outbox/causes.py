"""What a cause means: the short code under which a delivery failed or waits, as a problem with its wording and its advice."""

from gateway.errors import Problem, explain

# Whose texts name what fails an attempt; a cause is the last part of one of them. What they lack, or say to a sender, stands under "cause".
AREAS = ("transport", "signature", "outbox", "attachments", "wsdl", "vnsw")


def meaning(cause: str, party: str) -> Problem | None:
    """Explain why a delivery to a party failed or waits; None where the words are the partner's own, or a person's."""
    name = "http" if cause.startswith("http-") else cause
    values = {"party": party, "host": party, "sender": party, "adapter": party, "detail": cause, "status": cause.removeprefix("http-")}
    texts = (f"cause.{name}", *(f"{area}.{name}" for area in AREAS))
    problems = (Problem(text=text, values=values) for text in texts)
    return next((problem for problem in problems if explain(problem, "en") != problem.text), None)
