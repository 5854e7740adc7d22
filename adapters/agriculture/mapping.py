"""What is the agriculture ministry's own: its gateway's dialect, and the codes by which it asks for another try."""

from gateway.protocols.vnsw.dialects import MARD, Dialect

DIALECT: Dialect = MARD
# The ministry's system answers these when it could not save the data: its own trouble, not the message's.
TRY_LATER = frozenset({"BNN04_CODE", "BNN06_CODE", "BNN08_CODE", "BNN10_CODE", "BNN11_CODE"})
