"""The web application: the SOAP door in front, the REST interface and the operations behind."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from gateway.model import PartyCode

from . import errors
from .api import attachments, certificates, deliveries, documents, evidence, holds, jobs, ledger, mailbox, messages, parties, witness
from .api.gate import Gate
from .api.openapi import DESCRIPTION, TITLE, describing
from .auth import Access
from .bodies import MAX_XML, Bodies
from .clients import owner_of
from .crew import Crew
from .doors import wsdl
from .doors.soap import SoapDoor
from .keys import KeyFile
from .middleware import Answers, Doors, Requests
from .operations import health, metrics
from .pages import routes

if TYPE_CHECKING:
    from gateway.hub import Hub

SOAP_DOOR = "vnsw"
# Nothing of a request leaves this process through a framework's own means: its telemetry records failures with their words.
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def create_app(hub: "Hub") -> FastAPI:
    """Put the application together; raises GatewayError(RULES) where the file of API keys is wrong."""
    access = access_of(hub)
    bodies = Bodies()
    crew = Crew(hub.settings.intake_threads)
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=version("nsw-gateway"),
        docs_url=None,  # the framework's own page loads its scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_closing(crew),
        telemetry=SILENT,
    )
    door = SoapDoor(hub, name=SOAP_DOOR, access=access, bodies=bodies, crew=crew)
    streamed = frozenset({documents.PATH})
    app.add_middleware(Requests, bodies=bodies, large={documents.PATH: MAX_XML}, guarded=access.guarded, streamed=streamed)
    app.add_middleware(Answers, watch=hub.watch, number=hub.new_id)
    app.add_middleware(Doors, doors={wsdl.PATH: door, wsdl.PATH + "/": door})  # added last, so it comes first
    _include(app, hub, access, crew, bodies)
    errors.install(app, door=wsdl.PATH)
    app.openapi = describing(app)  # type: ignore[method-assign]  # how the framework documents changing it
    return app


def access_of(hub: "Hub") -> Access:
    """Read who may call; raises GatewayError(RULES) where the file of API keys is missing or wrong."""
    settings = hub.settings
    keys = KeyFile(settings.api_keys, watch=hub.watch) if settings.api_keys else None

    def party_of(certificate: str) -> PartyCode | None:
        return owner_of(certificate, hub.trust.registry, hub.rules.current, at=hub.clock())

    return Access(keys=keys, party_of=party_of, guarded=keys is not None or settings.tls_client_ca is not None)


def _include(app: FastAPI, hub: "Hub", access: Access, crew: Crew, bodies: Bodies) -> None:
    gate = Gate(access)
    app.include_router(documents.router(hub, gate, crew, bodies))
    app.include_router(messages.router(hub, gate))
    app.include_router(attachments.router(hub, gate))
    app.include_router(deliveries.router(hub, gate))
    app.include_router(jobs.router(hub, gate))
    app.include_router(mailbox.router(hub, gate))
    app.include_router(holds.router(hub, gate))
    app.include_router(parties.router(hub, gate))
    app.include_router(certificates.router(hub, gate))
    app.include_router(ledger.router(hub, gate))
    app.include_router(witness.router(hub, gate))
    app.include_router(evidence.router(hub, gate))
    app.include_router(health.router(hub, gate, access))
    app.include_router(metrics.router(hub, gate))
    app.include_router(wsdl.router(hub))
    app.include_router(routes.router(app, public_url=hub.settings.public_url))


def _closing(crew: Crew) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        crew.close()

    return lifespan
