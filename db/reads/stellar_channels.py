"""Channel accounts as the database knows them."""

from __future__ import annotations

from sqlalchemy import text

from db.session import Transaction
from domain.channel_accounts import ChannelRecord

_CHANNELS = text("""
SELECT account, key_index, state, request_id FROM stellar_channels ORDER BY key_index NULLS FIRST, account
""")


async def channel_accounts(tx: Transaction) -> list[ChannelRecord]:
    """Every channel account, those with a signer of their own before the key family's."""
    return [ChannelRecord(**row._asdict()) for row in await tx.rows(_CHANNELS)]
