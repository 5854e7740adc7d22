"""What is the portal's own: the dialect of its gateway, and the codes by which it asks for another try."""

from gateway.protocols.vnsw.dialects import GATEWAY, Dialect

DIALECT: Dialect = GATEWAY  # ministry -> NSW: receiveRequest of VNSWReceiveGateway
TRY_LATER: frozenset[str] = frozenset()  # it has no code for "later"; a refusal is one
