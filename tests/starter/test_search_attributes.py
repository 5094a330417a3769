"""The search attributes that operators filter by."""

from datetime import UTC, datetime

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

from domain.amounts import Asset
from domain.mint_request import MintRequest
from workflows import search_attributes

ISSUER = "GBZXN7PIRZGNMHGA7MUUUF4GWPY5AYPV6LY4UV2GL6VJGIQRXFDNMADI"


def a_request() -> MintRequest:
    """A plain mint of the demo tenant."""
    return MintRequest(
        id="mr_" + "0" * 26,
        tenant="acme",
        network_passphrase="Test SDF Network ; September 2015",
        asset=Asset(code="EURT", issuer=ISSUER),
        amount=25_000_000_000,
        destination="GA5XIGA5C7QTPTWXQHY6MCJRMTRZDOSHR6EFIBNDQTCQHG262N4GGKTM",
        topic="treasury-eu",
        requester="rita",
    )


def test_a_request_starts_pending_with_nobody_assigned():
    """A new request carries every attribute but the assignee, which nobody is yet."""
    expires = datetime(2026, 11, 23, tzinfo=UTC)
    attributes = search_attributes.at_start(a_request(), expires)
    assert attributes[search_attributes.STATUS] == "PENDING"
    assert attributes[search_attributes.AMOUNT] == 2500.0
    assert attributes[search_attributes.EXPIRES_AT] == expires
    assert {pair.key for pair in attributes} == set(search_attributes.ALL) - {search_attributes.ASSIGNEE}


async def test_both_servers_know_every_attribute(temporal_server, temporal_time_skipping):
    """A server that lacks one attribute would retry the first workflow task for ever."""
    for env in (temporal_server, temporal_time_skipping):
        listed = await env.client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace="default"), retry=True
        )
        assert {key.name for key in search_attributes.ALL} <= set(listed.custom_attributes)
