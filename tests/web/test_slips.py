"""Slips of people who are new: an amount with a comma, a reason of spaces; each can be put right at once."""

import html
import re

import pytest

from domain.mint_request import MintStatus

HTML = {"Accept": "text/html"}


@pytest.mark.parametrize("amount", ["2,50", "2.500,00", "2,500.00", "1,000"])
async def test_an_amount_with_a_comma_is_never_guessed(site, amount):
    """A comma is a thousand here and a tenth there: nothing is asked for, what was typed stays."""
    ledger = site.desk.ledger
    async with site.client("rita") as client:
        form = (await client.get("/requests/new", headers=HTML)).text
        key = re.search(r'name="key" value="([^"]+)"', form)[1]
        answer = await client.post(
            "/requests/new",
            data={
                "asset": str(ledger.asset),
                "amount": amount,
                "destination": ledger.holder.public_key,
                "topic": "treasury-eu",
                "key": key,
            },
            headers=HTML,
        )
        listed = (await client.get("/api/requests")).json()["requests"]
    assert (answer.status_code, listed) == (400, [])
    assert "without commas" in answer.text
    assert f'value="{amount}"' in html.unescape(answer.text)


async def test_a_rejection_without_a_reason_can_be_put_right(site):
    """The refused form comes back as another decision, and takes effect once it has a reason."""
    ticket = await site.desk.submit()
    await site.desk.until_status(ticket, MintStatus.PENDING)
    async with site.client("alice") as client:
        page = (await client.get(f"/requests/{ticket.id}", headers=HTML)).text
        for reason in ("   ", "the wrong account"):
            decision = re.search(r'name="decision_id" value="([^"]+)"', page)[1]
            answer = await client.post(
                f"/requests/{ticket.id}/reject",
                data={"decision_id": decision, "reason": reason},
                headers=HTML,
            )
            page = answer.text
    assert answer.status_code == 303
    record = await site.desk.until_status(ticket, MintStatus.REJECTED)
    assert record.reason.endswith("the wrong account")
    assert await site.desk.refusals(ticket) == []
