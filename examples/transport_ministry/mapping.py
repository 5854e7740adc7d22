"""What is the transport ministry's own: its operation, and the namespace agreed with it."""

from dataclasses import replace

from gateway.protocols.vnsw.dialects import TRANSPORT_MINISTRY, Dialect

NAMESPACE = "http://nsw.transport.example/gateway"
DIALECT: Dialect = replace(TRANSPORT_MINISTRY, namespace=NAMESPACE)
TRY_LATER: frozenset[str] = frozenset()
