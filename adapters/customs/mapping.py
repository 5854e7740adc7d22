"""What is customs' own: for now the envelope over SOAP, in the per-ministry dialect towards a ministry."""

from gateway.protocols.vnsw.dialects import SEND_TO_MINISTRY, Dialect

DIALECT: Dialect = SEND_TO_MINISTRY
TRY_LATER: frozenset[str] = frozenset()
