"""The integration gateway of a National Single Window. These names are what an agency's adapter is written with."""

from .errors import Code, GatewayError, NotValid, Problem
from .lifecycle import Accepted, Deferred, Delivered, Failed, Outcome, Rejected
from .model import Document, Envelope, Header, Reply, Request, Route
from .ports import Adapter, Pollable, Profile, SignsReplies

__all__ = [
    "Accepted",
    "Adapter",
    "Code",
    "Deferred",
    "Delivered",
    "Document",
    "Envelope",
    "Failed",
    "GatewayError",
    "Header",
    "NotValid",
    "Outcome",
    "Pollable",
    "Problem",
    "Profile",
    "Rejected",
    "Reply",
    "Request",
    "Route",
    "SignsReplies",
]
