"""Every point at which a worker is killed: around each question to Horizon and each commit."""


def around(*steps: str) -> list[str]:
    """The points before and after these steps, each step named `activity.what#which`."""
    points = []
    for step in steps:
        activity, _, what = step.partition(".")
        points += [f"{activity}.{moment}.{what}" for moment in ("before", "after")]
    return points


UNSENT = "submit.before.send#1"
UNHEARD = "submit.after.send#1"

RESENT = around(
    "settle.send#1",
    "settle.commit@send#1",  # notes the answer
)

WATCHING = [
    "watcher.before.follow_ledgers#1",  # it ends only with the worker
    *around("watcher.transactions_of#1"),  # what landed in the ledgers just closed
]

PROOF = around(
    "settle.commit@transaction#1",  # reads every fee bump again, once the bound is past
    "settle.check_network#1",
    "settle.account#1",
    "settle.commit@account#1",  # keeps the proof
)

SUBMIT = around(
    "submit.commit@opening#1",  # reserves the channel account
    "submit.network_passphrase#1",
    "submit.account#1",  # channel account, destination and issuer
    "submit.account#2",
    "submit.account#3",
    "submit.fee_paid#1",
    "submit.commit@fee_paid#1",  # keeps the envelope
    "submit.send#1",
    "submit.commit@send#1",  # keeps the outcome of what landed at once
)

UNTOLD = around("submit.newest_ledger#1")  # asked only while the stream has told of no ledger

DEARER = around(
    "submit.commit@send#1",  # notes the answer: not taken for its fee
    "submit.commit@send#2",  # keeps the fee bump
    "submit.send#2",
)

WAITING = around(
    "submit.transaction#1",  # looks for itself, since no ledger tells anything
    "settle.newest_ledger#1",
    # reads what `submit` of another worker has stored: whoever died last was in `settle`, and left it
    "settle.commit@opening#1",
)

LANDED = around(
    "settle.transaction#1",
    "settle.commit@transaction#1",  # keeps the outcome
)
