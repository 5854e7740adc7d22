"""Those who act on the gateway: senders, who repeat, sign again and alter, and an operator, who replays and cancels."""

from collections.abc import Sequence
from typing import Literal

from gateway.errors import Conflict, Unavailable
from gateway.model import Arrival, Channel, DeliveryId, MessageId, Reply, uuid7
from gateway.testing.staff import Staff

from .audit import Auditor
from .nodes import Node
from .papers import PARTNERS, Desk, Paper
from .stage import SECOND, Stage

DOSSIERS = 5
NETWORKS = ("10.0.0.1", "10.0.0.2")
WAYS = ("vnsw", "rest")

Repeat = Literal["same", "signed again", "altered", "another way"]
REPEATS: tuple[Repeat, ...] = ("same", "same", "signed again", "altered", "another way")


class Senders:
    """Everybody who sends; each sender is an actor."""

    def __init__(self, stage: Stage, auditor: Auditor, desk: Desk, nodes: Sequence[Node]) -> None:
        """Know where to send to."""
        self._stage = stage
        self._auditor = auditor
        self._desk = desk
        self._nodes = nodes
        self._papers = 0
        self.busy = 0  # papers under way
        self.resting = False  # no new ones

    def play(self) -> None:
        """Write one paper after another, and repeat some, until told to rest."""
        rng = self._stage.rng
        while not self.resting:
            paper = self._paper()
            channel = Channel(kind="network", name=rng.choice(NETWORKS))
            if rng.random() < 0.2:
                other = self._repeated(paper)
                self._stage.enter(f"{self._stage.current.name}'s twin", lambda o=other, c=channel: self._bring(o, c))  # type: ignore[misc]
            self._bring(paper, channel)
            while rng.random() < 0.35:
                self._stage.sleep(rng.choice((0.1, 5, 60)))
                self._bring(self._repeated(paper), channel)
            self._stage.sleep(rng.uniform(0, 5))

    def _paper(self) -> Paper:
        rng, now = self._stage.rng, self._stage.elapsed / SECOND
        self._papers += 1
        window = rng.random()
        return Paper(
            number=f"m{self._papers}",
            content="c",
            dossier=f"D{rng.randrange(DOSSIERS)}",
            to=tuple(p.code for p in rng.sample(PARTNERS, rng.choice((1, 1, 1, 2, 3)))),
            numbered=rng.random() < 0.9,
            good_from=now + rng.uniform(1, 60) if window < 0.1 else 0.0,
            good_until=now + rng.uniform(0.1, 60) if window > 0.9 else 1e12,
            refusable=rng.random() < 0.1,
            deadly=rng.random() < self._stage.faults.deadly,
        )

    def _repeated(self, paper: Paper) -> tuple[Paper, str]:
        how = self._stage.rng.choice(REPEATS)
        way = WAYS[1] if how == "another way" else WAYS[0]
        return {"signed again": paper.signed_again(), "altered": paper.altered()}.get(how, paper), way

    def _bring(self, written: Paper | tuple[Paper, str], channel: Channel) -> None:
        """Send until there is an answer that is not "come again"; some give up."""
        paper, way = written if isinstance(written, tuple) else (written, WAYS[0])
        rng = self._stage.rng
        self.busy += 1
        self._desk.archive[paper.body] = paper
        while True:
            reply = self._send(paper, way, channel)
            answered = reply is not None and b"unavailable" not in reply.body and rng.random() >= self._stage.faults.mute
            if answered or (rng.random() < 0.05 and not self.resting):
                break
            self._stage.sleep(rng.choice((0.01, 2, 30)))
        self.busy -= 1

    def _send(self, paper: Paper, way: str, channel: Channel) -> Reply | None:
        stage = self._stage
        arrival = Arrival(
            id=MessageId(uuid7(stage.wall(), stage.entropy(10))), received_at=stage.wall(), channel=channel, door="sim", path=way,
            media_type="text/xml", body=paper.body, repeat_key=None if paper.numbered else paper.number,
        )  # fmt: skip
        self._auditor.begins(arrival, paper)
        reply = stage.rng.choice(self._nodes).receive(arrival)
        if reply is not None:
            stage.point("answer", reply.body.decode())
            self._auditor.answered(arrival, paper, reply)
        return reply


class Operator:
    """A person who replays and cancels what catches the eye."""

    def __init__(self, stage: Stage, auditor: Auditor, staff: Staff, *, every: float) -> None:
        """Act, by staff's acts, every so many seconds."""
        self._stage = stage
        self._auditor = auditor
        self._staff = staff
        self._every = every
        self.resting = False

    def play(self) -> None:
        """Act on deliveries at random, mostly on late ones."""
        rng = self._stage.rng
        while not self.resting:
            self._stage.sleep(rng.expovariate(1 / self._every))
            deliveries = list(self._auditor.cases)[-40:]
            if deliveries and not self.resting:
                self._act(DeliveryId(rng.choice(deliveries)))

    def _act(self, delivery: DeliveryId) -> None:
        try:
            if self._stage.rng.random() < 0.7:
                self._staff.replay(delivery, by="lan")
            else:
                self._staff.cancel(delivery, by="lan", reason="asked")
        except (Conflict, Unavailable):
            return
