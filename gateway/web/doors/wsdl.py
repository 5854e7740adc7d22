"""The WSDL files of the SOAP door."""

import re
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from gateway.errors import Code, NotValid, Problem
from gateway.protocols.vnsw.wsdl import gateway_wsdl, service_wsdl
from gateway.web.address import base_url

if TYPE_CHECKING:
    from gateway.hub import Hub

PATH = "/ws"
MEDIA_TYPE = "text/xml; charset=utf-8"
_SERVICE = re.compile(r"[a-z][a-z0-9]{0,31}")


def router(hub: "Hub") -> APIRouter:
    """Serve the gateway's WSDL and one for each party that has a service of its own."""
    routes = APIRouter(include_in_schema=False)

    def address(request: Request) -> str:
        return base_url(request.scope, hub.settings.public_url) + PATH

    @routes.get(PATH)
    def asked(request: Request) -> Response:
        """Serve the gateway's WSDL under ?wsdl, in any spelling; raises NotValid(NOT_ALLOWED) without it."""
        if request.url.query.lower().partition("=")[0] not in ("wsdl", "singlewsdl"):
            raise NotValid(Code.NOT_ALLOWED, Problem(text="web.method", values={"allow": "POST, GET ?wsdl"}))
        return Response(gateway_wsdl(address(request)), media_type=MEDIA_TYPE)

    @routes.get(PATH + "/gateway.wsdl")
    def gateway(request: Request) -> Response:
        return Response(gateway_wsdl(address(request)), media_type=MEDIA_TYPE)

    @routes.get(PATH + "/{service}.wsdl")
    def service(request: Request, service: str) -> Response:
        """Serve the WSDL of a known party's service; raises NotValid(NOT_FOUND) for any other name."""
        if not _SERVICE.fullmatch(service) or hub.rules.current.party(service.upper()) is None:
            raise NotValid(Code.NOT_FOUND, Problem(text="web.service"))
        return Response(service_wsdl(service, address(request)), media_type=MEDIA_TYPE)

    return routes
