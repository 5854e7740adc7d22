"""nsw deliveries jobs, approve, pause, resume, stop: what was ordered for many deliveries, and its carrying out with progress."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from gateway.bootstrap import open_store
from gateway.errors import GatewayError, Problem, explain
from gateway.hub import Store
from gateway.outbox.mender import carry
from gateway.outbox.mending import NEWEST
from gateway.outbox.orders import Job, JobState
from gateway.web.api.orders import job_view

from .asking import asker
from .output import REFUSED, AsJson, aside, emit, language, paragraph, people, refuse, say, settings
from .pages import Cursor, Limit, print_page
from .story import when

LOOK_EVERY = 0.5  # seconds between two looks at a job that another process carries out

JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of a job, as 'nsw deliveries jobs' shows it.")]
MaybeJob = Annotated[str | None, typer.Argument(metavar="[ID]", help="One job; without it all, newest first.")]
Wanted = Annotated[JobState | None, typer.Option("--state", help="In this state only.")]


def jobs(job: MaybeJob = None, *, state: Wanted = None, cursor: Cursor = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show jobs and their progress."""
    try:
        with open_store(settings()) as store:
            if job is not None:
                return print_job(store.mending.job(job), as_json=as_json)
            page = store.mending.jobs(state=state, before=cursor or NEWEST, limit=limit)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    if as_json:
        return emit({"items": [job_view(each).model_dump(mode="json") for each in page.items], "next_cursor": page.next_cursor})
    return print_page(page, none="deliveries-no-jobs", columns=("made", "job", "state", "progress", "by", "id"), cells=_cells)


def approve(job: JobId, *, as_json: AsJson = False) -> None:
    """Approve a proposal of another person; it then runs."""
    _steer(lambda store: store.mending.approve(job, by=asker()), as_json=as_json)


def pause(job: JobId, *, as_json: AsJson = False) -> None:
    """Let a job rest."""
    _steer(lambda store: store.mending.pause(job, by=asker()), as_json=as_json)


def resume(job: JobId, *, as_json: AsJson = False) -> None:
    """Let a paused job go on; a running server takes it up at once."""
    _steer(lambda store: store.mending.resume(job, by=asker()), as_json=as_json)


def stop(job: JobId, *, as_json: AsJson = False) -> None:
    """End a job or a proposal; what it did stays done."""
    _steer(lambda store: store.mending.stop(job, by=asker()), as_json=as_json)


def carry_out(store: Store, job: Job, *, quiet: bool) -> Job:
    """Carry a job out here, or watch where another process does; gives it as it ended, or as it stands when the user leaves."""
    rest = Event().wait  # nobody sets it: it only waits
    with _progress(job, quiet=quiet) as told:
        try:
            while job.state is JobState.RUNNING:
                hold = store.mending.take(job.id)
                if hold:
                    carry(store.mending, hold, pause=rest, told=told)
                else:
                    rest(LOOK_EVERY)
                job = store.mending.job(job.id)
                told(job)
        except KeyboardInterrupt:
            job = store.mending.job(job.id)
    return job


def print_job(job: Job, *, as_json: bool) -> None:
    """Print how a job stands, why it passed deliveries over, and what is to be done about it."""
    if as_json:
        emit(job_view(job).model_dump(mode="json"))
        return
    console = people()
    counts = {"total": str(job.total), "done": str(job.done), "skipped": str(job.skipped)}
    console.print(Text(say("deliveries-job", act=job.order.act, state=say(f"job-{job.state}"), **counts)), Text(job.id, style="dim"))
    paragraph(console, Text(_command(job), style="dim"), indent=2, hanging=2)
    print_skips(console, job.skips)
    if job.state is JobState.PROPOSED and job.expires_at:
        console.print(Text("→ " + say("deliveries-proposed", at=when(job.expires_at), job=job.id), style="cyan"))
    if job.state is JobState.RUNNING:
        console.print(Text("→ " + say("deliveries-left", job=job.id), style="cyan"))


def print_skips(console: Console, skips: Mapping[str, int]) -> None:
    """Print why deliveries are passed over, and how many each."""
    for code, count in skips.items():
        why = explain(Problem(text=code), language())
        console.print(Text("  ! " + say("deliveries-skipped", count=str(count), why=why), style="yellow"))


def end(job: Job) -> None:
    """End a command as its job ended: 1 where it was stopped before it was done."""
    if job.state in (JobState.CANCELLED, JobState.EXPIRED, JobState.PAUSED):
        raise typer.Exit(REFUSED)


def _steer(act: Callable[[Store], Job], *, as_json: bool) -> None:
    try:
        with open_store(settings()) as store:
            job = act(store)
    except GatewayError as error:
        refuse(error, as_json=as_json)
    print_job(job, as_json=as_json)


def _command(job: Job) -> str:
    """Write an order as the command that gives it: whoever is to approve it sees all that is meant."""
    order, corrected = job.order, job.order.corrections
    chosen = {} if job.choice.ids else job_view(job).choice
    changed = {"receiver": corrected.get("receiver"), "header-version": corrected.get("version")}
    options = {**chosen, "to": order.party, "to-route": order.route, **changed, "reason": order.reason}
    given = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
    duplicate = ["--accept-duplicate"] if order.accept_duplicate else []
    return shlex.join(["nsw", "deliveries", order.act, *job.choice.ids, *given, *duplicate])


@contextmanager
def _progress(job: Job, *, quiet: bool) -> Iterator[Callable[[Job], None]]:
    """Show progress on a terminal, beside the output; on anything else show nothing."""
    console = aside()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(job.order.act.value, total=job.total)
        yield lambda now: progress.update(task, completed=now.done + now.skipped)


def _cells(job: Job) -> tuple[str | Text, ...]:
    progress = f"{job.done}/{job.total}" + (f" !{job.skipped}" if job.skipped else "")
    by = job.proposed_by + (f" ✓ {job.approved_by}" if job.approved_by else "")
    return when(job.created_at), job.order.act.value, say(f"job-{job.state}"), progress, by, Text(job.id, style="dim")
