"""The statement about configurations."""

from sqlalchemy import select, text

from gateway.store.tables import LEDGER

# ledger_configurations
LAST_TOLD = select(LEDGER.c.leaf).where(text("kind = 'configuration.changed'")).order_by(LEDGER.c.id.desc()).limit(1)
