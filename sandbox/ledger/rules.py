"""Network parameters and node policy that the sandbox ledger keeps.

The numbers are those of the conformance recordings (stellar-core 19.0.1, protocol 19); where a value is node
policy instead of protocol, the comment says so.
"""

from __future__ import annotations

from math import lcm
from typing import Final, Literal

# The rules of today's network, with one waiting transaction per source account, or those of the recordings.
FeeRule = Literal["one", "many"]

PROTOCOL_VERSION = 19
BASE_FEE = 100
BASE_RESERVE = 5_000_000
# Base reserves of an account without anything in it.
ACCOUNT_RESERVES = 2
TOTAL_COINS = 10**18
MAX_LEDGER_OPERATIONS = 1000
MAX_TRANSACTION_OPERATIONS = 100
MAX_SUBENTRIES = 1000
MAX_SIGNERS = 20
INT64_MAX = 2**63 - 1
UINT8_MAX = 255
STROOPS_PER_UNIT = 10**7

# Node policy: how long a transaction may wait, how long a dropped envelope is refused, how many full ledgers
# may wait, the price of a replacement.
QUEUE_LEDGERS = 4
BAN_LEDGERS = 10
QUEUE_CAPACITY_LEDGERS = 2
REPLACE_FEE_MULTIPLIER = 10

# Node policy: an envelope is refused up front if it would expire within twice the expected close time of 5 s.
EXPECTED_CLOSE_SECONDS = 5
CLOSE_TIME_MULTIPLIER = 2

AUTH_REQUIRED = 1
AUTH_REVOCABLE = 2
AUTH_IMMUTABLE = 4
AUTH_CLAWBACK = 8
ACCOUNT_FLAGS = AUTH_REQUIRED | AUTH_REVOCABLE | AUTH_IMMUTABLE | AUTH_CLAWBACK

LINE_AUTHORIZED = 1
LINE_MAINTAIN = 2
LINE_CLAWBACK = 4
LINE_AUTH_FLAGS = LINE_AUTHORIZED | LINE_MAINTAIN


def starting_sequence(ledger: int) -> int:
    """Sequence number of an account created in ``ledger``; no transaction may carry this very number."""
    return ledger << 32


# A multiple of every number of operations (a fee bump counts as one more): rates are whole numbers with it.
_RATE_UNIT: Final = lcm(*range(1, MAX_TRANSACTION_OPERATIONS + 2))


def fee_rate(fee: int, operations: int) -> int:
    """A fee per operation that can be compared exactly; an empty transaction counts as one operation."""
    return fee * (_RATE_UNIT // max(1, operations))


def minimum_fee(operations: int, per_operation: int = BASE_FEE) -> int:
    """Lowest fee in stroops for a transaction of so many operations; an empty one counts as one."""
    return per_operation * max(1, operations)
