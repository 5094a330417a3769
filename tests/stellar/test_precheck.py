"""The pre-check: what the ledger would refuse is refused before anything is signed."""

from datetime import UTC, datetime

import pytest

from domain import precheck
from domain.errors import ConfigurationError, PrecheckFailed
from domain.ledger_accounts import NoAccount
from settings import PUBLIC_PASSPHRASE, TESTNET_PASSPHRASE
from tests.support.mints import CHANNEL, ISSUER, a_request, an_account


@pytest.mark.parametrize(("weight", "med"), [(0, 0), (1, 2)])
def test_an_issuer_key_without_enough_weight_is_refused(weight, med):
    """A payment needs the medium threshold, and a locked key has no weight at all."""
    with pytest.raises(PrecheckFailed, match="has weight"):
        precheck.judge_issuer(an_account(ISSUER.public_key, weight=weight, med=med))


def test_a_missing_issuer_is_refused():
    """Nobody can issue from an account that does not exist."""
    with pytest.raises(PrecheckFailed, match="issuer"):
        precheck.judge_issuer(NoAccount(ISSUER.public_key, 7))


@pytest.mark.parametrize("channel", [
    NoAccount(CHANNEL.public_key, 7), an_account(CHANNEL.public_key, weight=1, low=2),
])  # fmt: skip
def test_an_unusable_channel_is_no_fault_of_the_request(channel):
    """It waits for an operator: a ConfigurationError is tried again, the request does not fail."""
    with pytest.raises(ConfigurationError, match="channel account"):
        precheck.judge_channel(channel)


def test_a_usable_channel_is_answered_as_it_was_read():
    """Its sequence goes into the transaction."""
    channel = an_account(CHANNEL.public_key)
    assert precheck.judge_channel(channel) is channel


def test_a_request_for_another_network_is_refused():
    """The digest names the network, so signing for another one would mint something else."""
    with pytest.raises(PrecheckFailed, match="network"):
        precheck.judge_request(
            a_request(network_passphrase=PUBLIC_PASSPHRASE),
            network_passphrase=TESTNET_PASSPHRASE,
            issuer=ISSUER.public_key,
        )


def test_a_foreign_issuer_is_refused():
    """This installation mints its own issuer's assets only."""
    with pytest.raises(PrecheckFailed, match="not issued by"):
        precheck.judge_request(a_request(), network_passphrase=TESTNET_PASSPHRASE, issuer=CHANNEL.public_key)


@pytest.mark.parametrize(("close_time", "refused"), [(999, False), (1000, True), (1001, True)])
def test_the_deadline_is_judged_by_the_ledger(close_time, refused):
    """Once a ledger has closed at the deadline no later one can be in time."""
    request = a_request(deadline=datetime.fromtimestamp(1000, UTC))
    if refused:
        with pytest.raises(PrecheckFailed, match="is past by the ledger's clock"):
            precheck.judge_deadline(request, close_time)
    else:
        assert precheck.judge_deadline(request, close_time) is None
