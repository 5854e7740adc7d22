"""The crash matrix: a story is played once to learn its moments, then once for each of them with a death there; and judged."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.config import Settings
from gateway.testing.contents import Consignment
from gateway.testing.simulator import RunningSimulator

from .ground import Ground
from .points import UNSETTLED
from .stories import Answered, Bodies, Kept, Passed, Story, live
from .warm import Ended, WarmProcess

GOOD = "99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One story with a death in it: where it died, how often partners saw a message again, and which promises were broken."""

    moment: str
    redelivered: int
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Plays stories on one database, each about a dossier of its own."""

    ground: Ground
    settings: Settings

    def moments(self, story: Story) -> list[str]:
        """Play a story without a death and name the moments that passed, until its last delivery was settled."""
        life = self._trial(story).live()
        passed = [said.moment for said in life.said if isinstance(said, Passed)]
        last = max(n for n, moment in enumerate(passed) if not moment.startswith("claim."))
        return passed[: last + 1]

    def play(self, story: Story, fatal: int, *, again: int = 0) -> Case:
        """Play a story with a death at the moment counted `fatal`, and with `again` another in the life after it; then live on."""
        trial = self._trial(story)
        lives = [trial.live(death) for death in ((fatal, again, 0) if again else (fatal, 0))]
        dead = [_last_moment(life) for life in lives if life.killed]
        arrivals = self._arrivals(story, trial.about, _kept(lives[-1])[-1])
        redelivered = sum(max(n - 1, 0) for n in arrivals.values())
        broken = (
            *_broken_between(_answers(lives[0]), _kept(lives[1])[0]),
            *_broken_answers(story, lives),
            *_broken_in_the_end(story, _kept(lives[-1])[-1]),
            *(f"{partner} never got it" for partner, n in arrivals.items() if n == 0),
            *self._doubled(story, trial.about),
            *([f"seen again {redelivered} times"] if redelivered > sum(moment in UNSETTLED for moment in dead) else []),
        )
        return Case(moment=", then ".join(dead), redelivered=redelivered, broken=broken)

    def _trial(self, story: Story) -> "_Trial":
        about = Consignment(number=next(self.ground.numbers))
        bodies = story.write(self.settings.pki, about, datetime.now(UTC))
        return _Trial(warm=self.ground.warm, settings=self.settings, story=story, about=about, bodies=bodies)

    def _arrivals(self, story: Story, about: Consignment, last: Kept) -> Mapping[str, int]:
        """Count how often each partner was sent the message, polls apart."""
        return {name: sum(_sends(self.ground.partners[name], about, last.hub_numbers).values()) for name in story.partners}

    def _doubled(self, story: Story, about: Consignment) -> list[str]:
        """Name the partners to which a dossier's one message came under two ids, and those that nothing should have reached."""
        ids = {name: _sends(partner, about, ()) for name, partner in self.ground.partners.items()}
        return [f"{name} got {len(found)} ids" for name, found in ids.items() if len(found) > (name in story.partners)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A story about one dossier, life after life on the same database."""

    warm: WarmProcess
    settings: Settings
    story: Story
    about: Consignment
    bodies: Bodies

    def live(self, fatal: int = 0) -> Ended:
        story = self.story
        return self.warm.run(live, settings=self.settings, bodies=self.bodies, about=self.about, partners=story.partners, fatal=fatal)


def _sends(partner: RunningSimulator, about: Consignment, hub_numbers: Sequence[str]) -> Counter[str]:
    """Count a partner's raw arrivals about a dossier, or under these numbers of the hub, by id."""
    lines: Any = partner.report()["arrivals"]
    ours = [line["id"] for line in lines if f" {about.file_code}/" in line["about"] or line["id"] in hub_numbers]
    return Counter(filter(None, ours))


def _kept(life: Ended) -> Sequence[Kept]:
    """Give what a life found kept when it began, and what was kept when it ended."""
    return [said for said in life.said if isinstance(said, Kept)]


def _answers(life: Ended) -> Mapping[int, Answered]:
    return {said.request: said for said in life.said if isinstance(said, Answered)}


def _last_moment(life: Ended) -> str:
    return [said.moment for said in life.said if isinstance(said, Passed)][-1]


def _broken_between(answered: Mapping[int, Answered], kept: Kept) -> Iterator[str]:
    """Judge what a death left: everything acknowledged is there, everything else is absent or complete."""
    acknowledged = any(answer.function == GOOD for answer in answered.values())
    if kept.accepted < acknowledged:
        yield "acknowledged, and not kept"
    if kept.accepted > 1 or not kept.whole:
        yield f"kept in part or twice: {kept}"
    if kept.refused < sum(answer.function != GOOD for answer in answered.values()):
        yield "a refusal that was answered is not kept"


def _broken_answers(story: Story, lives: Sequence[Ended]) -> Iterator[str]:
    """Judge the answers: what each request must hear, and byte for byte the same in every life where it was accepted."""
    for request, function in enumerate(story.answers):
        heard = [answers[request] for life in lives if request in (answers := _answers(life))]
        if any(answer.function != function for answer in heard) or not heard:
            yield f"request {request} was answered {[answer.function for answer in heard]}, not {function}"
        if function == GOOD and len({answer.body for answer in heard}) > 1:
            yield f"request {request} got other bytes in another life"


def _broken_in_the_end(story: Story, kept: Kept) -> Iterator[str]:
    expected = ("delivered",) * len(story.partners)
    if kept.states != expected or not kept.whole or kept.accepted != bool(story.partners):
        yield f"in the end {kept}"
