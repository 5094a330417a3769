"""Slack on a laptop: the provider console presses what the local stack believes."""

import httpx

from tests.local.stacks import mintkeeper, until


def of_request(providers, request_id):
    """The message in Slack about a request, as it reads now; None: not yet."""
    found = providers.get("/messages").json()
    return next((m for m in found if m["provider"] == "slack" and request_id in m["text"]), None)


def test_an_approval_by_a_button_reaches_the_ledger(up):
    """Pressed at the console as alice, whom the demo links: confirmed, and the buttons are gone."""
    wanted = ("submit", "--amount", "7", "--topic", "treasury-eu", "--requester", "rita")
    request_id = mintkeeper(*wanted, data_dir=up.data_dir)["id"]
    with httpx.Client(base_url=up.document()["providers_url"]) as providers:
        message = until(lambda: of_request(providers, request_id), "a message in Slack")
        form = {"user": "U0ALICE", "button": "0"}
        assert providers.post(f"/press/{message['id']}", data=form).status_code == 303
        until(
            lambda: mintkeeper("show", request_id, data_dir=up.data_dir)["status"] == "CONFIRMED", "confirmed"
        )
        assert until(
            lambda: not of_request(providers, request_id)["buttons"] and of_request(providers, request_id),
            "no buttons",
        )["reads_now"]
