"""Messages made to wedge a workflow: whatever arrives, the request can still be decided and still expires."""

import pytest
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue

from domain.mint_request import MintStatus


def nested(depth: int) -> bytes:
    """JSON that is lists in lists."""
    return b"[" * depth + b"]" * depth


def plain(data: bytes) -> RawValue:
    """A payload that says it is JSON."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data))


POISON = {
    "bytes that are no text": b"\xff\xfe\x00",
    "a message of another protocol": WorkflowExecution(workflow_id="x"),
    "lists in lists": plain(nested(190)),
    "objects in objects": plain(b'{"a":' * 190 + b"1" + b"}" * 190),
    "deeper than any reader": plain(nested(100_000)),
    "no number": plain(b'{"payload": NaN, "signatures": -Infinity}'),
    "a number of 4,000 digits": plain(b'{"payload": ' + b"9" * 4000 + b"}"),
    "half a character": plain(b'{"payload": "\\ud800"}'),
    "not JSON at all": plain(b"\xff\xff{"),
    "an unknown encoding": RawValue(Payload(metadata={"encoding": b"made/up"}, data=b"x")),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_no_payload_can_wedge_the_workflow(desk, poison):
    """A signal and an update of any encoding and depth are one more malformed decision, or dropped."""
    async with desk.worker():
        ticket = await desk.submit()
        await desk.until_status(ticket, MintStatus.PENDING)
        for name in ("approve", "reject", "cancel", "resolve", "comment"):
            await ticket.handle.signal(name, poison)
        try:
            answer = await ticket.handle.execute_update("decide", poison)
        except WorkflowUpdateFailedError as refused:
            answer = {"accepted": False, "message": str(refused)}
        assert answer["accepted"] is False
        assert (await desk.decide(ticket, "alice")).accepted
        assert (await desk.record(ticket)).status is MintStatus.APPROVED
    assert set(await desk.refusals(ticket)) <= {"malformed"}
