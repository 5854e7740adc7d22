"""Serves the pages."""

from html import escape
from importlib import resources
from string import Template

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from gateway.web.address import base_url

from .describe import describe_page

STYLE_ONLY = {
    "content-security-policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}


def router(app: FastAPI, *, public_url: str) -> APIRouter:
    """Serve the landing page, the description of the interface, and their style."""
    routes = APIRouter(include_in_schema=False)
    folder = resources.files(__package__)
    landing = Template(folder.joinpath("landing.html").read_text("utf-8"))
    style = folder.joinpath("pages.css").read_bytes()

    @routes.get("/")
    def home(request: Request) -> HTMLResponse:
        return HTMLResponse(landing.substitute(base=escape(base_url(request.scope, public_url)), version=app.version), headers=STYLE_ONLY)

    @routes.get("/docs")
    def docs() -> HTMLResponse:
        return HTMLResponse(describe_page(app.openapi()), headers=STYLE_ONLY)

    @routes.get("/pages.css")
    def css() -> Response:
        return Response(style, media_type="text/css; charset=utf-8", headers={"cache-control": "max-age=3600"})

    return routes
