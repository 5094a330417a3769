"""Keys by URL: opened or refused with a clear line, and never shown."""

import pytest
from stellar_sdk import Keypair

from activities.stellar.signers import KeyFamily, build_wallet, open_channel_keys, open_signer
from domain.channel_accounts import MOST_CHANNELS
from domain.errors import ConfigurationError
from settings import PUBLIC_PASSPHRASE, TESTNET_PASSPHRASE, Settings
from tests.support.mints import CHANNEL, ISSUER, a_wallet

DIGEST = bytes(32)


@pytest.fixture
def issuer_file(tmp_path):
    """The issuer's seed in a file that only its owner can read."""
    path = tmp_path / "issuer.seed"
    path.write_text(ISSUER.secret + "\n")
    path.chmod(0o600)
    return path


def test_a_seed_from_the_environment_signs(monkeypatch):
    """`env:NAME` takes the seed from that variable."""
    monkeypatch.setenv("ISSUER_SEED", ISSUER.secret)
    signer = open_signer("env:ISSUER_SEED", "SETTING")
    assert signer.account_id == ISSUER.public_key
    ISSUER.verify(DIGEST, signer.sign(DIGEST).signature)


def test_a_seed_from_a_private_file_signs(issuer_file):
    """`file:/path` takes the seed from a file of mode 0600."""
    signer = open_signer(f"file:{issuer_file}", "SETTING")
    ISSUER.verify(DIGEST, signer.sign(DIGEST).signature)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o700])
def test_a_file_that_others_can_read_is_refused(issuer_file, mode):
    """A seed that others can read is no secret; the message says what to do."""
    issuer_file.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_signer(f"file:{issuer_file}", "SETTING")


@pytest.mark.parametrize(("url", "words"), [
    ("", "not a signer URL"),
    ("SCECRETSEED", "not a signer URL"),
    ("env:", "not a signer URL"),
    ("kms:key/1", "unknown scheme kms"),
    ("env:MINTKEEPER_NOT_SET", "empty or not set"),
    ("file:/nowhere/at/all", "cannot read"),
])  # fmt: skip
def test_an_unusable_url_is_refused_with_a_clear_line(url, words):
    """Each kind of mistake has its own message, which names the setting."""
    with pytest.raises(ConfigurationError, match=f"SETTING.*{words}"):
        open_signer(url, "SETTING")


def test_a_url_without_a_scheme_is_not_quoted():
    """Somebody may have put the seed itself there."""
    with pytest.raises(ConfigurationError) as refused:
        open_signer(ISSUER.secret, "SETTING")
    assert ISSUER.secret not in str(refused.value)


@pytest.mark.parametrize("content", ["S" * 56, ISSUER.secret[:-1], ISSUER.public_key, "Sé"])
def test_a_wrong_seed_is_refused_without_showing_it(monkeypatch, content):
    """Neither the message nor its cause quotes what was in the variable."""
    monkeypatch.setenv("WRONG_SEED", content)
    with pytest.raises(ConfigurationError, match="does not hold") as refused:
        open_signer("env:WRONG_SEED", "SETTING")
    assert content not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_seed_in_any_repr():
    """Whatever ends up in a log shows accounts only."""
    wallet = a_wallet(CHANNEL)
    shown = repr(wallet) + repr(vars(wallet))
    assert ISSUER.public_key in shown
    assert ISSUER.secret not in shown
    assert CHANNEL.secret not in shown


def test_without_channels_the_issuer_is_the_only_one():
    """One account then is source, payer and signer."""
    assert a_wallet().channels == [ISSUER.public_key]


def test_signatures_come_in_the_order_asked_for():
    """The order of signatures is the caller's, so that an envelope is always the same bytes."""
    channel, issuer = a_wallet(CHANNEL).sign(DIGEST, [CHANNEL.public_key, ISSUER.public_key])
    CHANNEL.verify(DIGEST, channel.signature)
    ISSUER.verify(DIGEST, issuer.signature)


def test_an_account_without_a_key_is_named():
    """A channel that was taken out of the configuration while in use must come back."""
    with pytest.raises(ConfigurationError, match=CHANNEL.public_key):
        a_wallet().sign(DIGEST, [CHANNEL.public_key])


def test_one_channel_twice_is_refused():
    """Two entries for one account would promise more channels than there are."""
    with pytest.raises(ConfigurationError, match="twice"):
        a_wallet(CHANNEL, CHANNEL)


def settings(**values) -> Settings:
    """A configuration with these values."""
    return Settings(**{"network_passphrase": TESTNET_PASSPHRASE} | values)


def test_the_wallet_opens_every_configured_signer(monkeypatch, issuer_file):
    """One issuer and as many channels as the list names."""
    second = Keypair.random()
    monkeypatch.setenv("ONE", CHANNEL.secret)
    monkeypatch.setenv("TWO", second.secret)
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer="env:ONE, env:TWO"))
    assert (wallet.issuer, wallet.channels) == (ISSUER.public_key, [CHANNEL.public_key, second.public_key])


def test_a_missing_issuer_signer_is_named():
    """Without an issuer nothing can be minted."""
    with pytest.raises(ConfigurationError, match="MINTKEEPER_ISSUER_SIGNER is not set"):
        build_wallet(settings())


@pytest.mark.parametrize("where", ["issuer_signer", "channel_signer", "funding_signer"])
def test_the_public_network_refuses_seeds_in_the_environment(monkeypatch, issuer_file, where):
    """An environment is easily read by others; on the public network that must be meant."""
    monkeypatch.setenv("SEED", CHANNEL.secret)
    values = {
        "issuer_signer": f"file:{issuer_file}",
        "network_passphrase": PUBLIC_PASSPHRASE,
        where: "env:SEED",
    }
    with pytest.raises(ConfigurationError, match="ALLOW_ENV_SIGNER_ON_PUBLIC"):
        build_wallet(settings(**values))
    assert build_wallet(settings(**values, allow_env_signer_on_public=True)).channels


def test_the_public_network_takes_files(issuer_file):
    """A private file is fine everywhere."""
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", network_passphrase=PUBLIC_PASSPHRASE))
    assert wallet.issuer == ISSUER.public_key


PHRASE = "illness spike retreat truth genius clock brain pass fit cave bargain toe"
"""Test 1 of SEP-5, so that its accounts are known to every wallet."""

FIRST = "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6"
SECOND = "GBAW5XGWORWVFE2XTJYDTLDHXTY2Q2MO73HYCGB3XMFMQ562Q2W2GJQX"


def test_a_phrase_makes_the_accounts_of_sep_5(monkeypatch, issuer_file):
    """Any wallet that knows the phrase finds the same accounts by their index."""
    monkeypatch.setenv("PHRASE", f"  {PHRASE}\n")
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer="env:PHRASE"))
    assert [wallet.family.account(index) for index in (1, 0)] == [SECOND, FIRST]
    [signature] = wallet.sign(DIGEST, [SECOND])
    Keypair.from_public_key(SECOND).verify(DIGEST, signature.signature)


def test_any_account_of_the_family_can_sign(monkeypatch):
    """A worker that never saw the account before finds its key by the address alone."""
    family = KeyFamily(PHRASE)
    last = Keypair.from_mnemonic_phrase(PHRASE, index=MOST_CHANNELS - 1)
    last.verify(DIGEST, family.signer(last.public_key).sign(DIGEST).signature)
    assert family.signer(CHANNEL.public_key) is None


def test_with_a_phrase_the_issuer_is_no_channel(issuer_file, phrase_file):
    """Which accounts of the family there are, the database knows."""
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer=f"file:{phrase_file}"))
    assert wallet.channels == []
    with pytest.raises(ConfigurationError, match=CHANNEL.public_key):
        wallet.sign(DIGEST, [CHANNEL.public_key])


@pytest.fixture
def phrase_file(tmp_path):
    """The phrase in a file that only its owner can read."""
    path = tmp_path / "channels.phrase"
    path.write_text(PHRASE + "\n")
    path.chmod(0o600)
    return path


def test_a_phrase_that_others_can_read_is_refused(phrase_file):
    """The rule of seeds holds for phrases."""
    phrase_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_channel_keys(f"file:{phrase_file}", "SETTING")


@pytest.mark.parametrize("content", [
    PHRASE.replace("toe", "zoo"),
    PHRASE.replace("toe", "mintkeeper"),
    PHRASE.rpartition(" ")[0],
    f"{CHANNEL.secret} {CHANNEL.secret}",
    "illness é",
])  # fmt: skip
def test_a_malformed_phrase_is_refused_without_showing_it(monkeypatch, content):
    """Neither the message nor its cause quotes a word of it."""
    monkeypatch.setenv("WRONG", content)
    with pytest.raises(ConfigurationError, match="SETTING holds words that are no mnemonic") as refused:
        open_channel_keys("env:WRONG", "SETTING")
    assert not any(word in str(refused.value).split() for word in content.split())
    assert refused.value.__cause__ is None


def test_a_phrase_where_a_seed_is_meant_is_refused_without_showing_it(monkeypatch):
    """Issuer and funding account have one key each."""
    monkeypatch.setenv("PHRASE", PHRASE)
    with pytest.raises(ConfigurationError, match="does not hold a Stellar secret seed") as refused:
        open_signer("env:PHRASE", "SETTING")
    assert "illness" not in str(refused.value)


def test_two_phrases_are_refused(issuer_file, phrase_file):
    """A key index must stand for one account."""
    signers = f"file:{phrase_file},file:{phrase_file}"
    with pytest.raises(ConfigurationError, match="two mnemonic phrases"):
        build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer=signers))


def test_a_phrase_goes_together_with_single_seeds(monkeypatch, issuer_file, phrase_file):
    """An installation with seeds can add a family."""
    monkeypatch.setenv("ONE", CHANNEL.secret)
    signers = f"env:ONE,file:{phrase_file}"
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer=signers))
    assert wallet.channels == [CHANNEL.public_key]
    assert len(wallet.sign(DIGEST, [CHANNEL.public_key, FIRST])) == 2


def test_the_funding_account_signs(monkeypatch, issuer_file):
    """It is no channel, and has a signer of its own."""
    monkeypatch.setenv("ONE", CHANNEL.secret)
    values = {"issuer_signer": f"file:{issuer_file}", "funding_signer": "env:ONE"}
    wallet = build_wallet(settings(**values))
    assert wallet.funding == CHANNEL.public_key
    assert len(wallet.sign(DIGEST, [CHANNEL.public_key])) == 1


@pytest.mark.parametrize("channels", ["seed", "phrase", "issuer"])
def test_a_channel_account_can_t_be_the_funding_account(monkeypatch, issuer_file, phrase_file, channels):
    """Be it by its own seed, of the family, or the issuer where that is the only channel."""
    monkeypatch.setenv("ONE", CHANNEL.secret)
    monkeypatch.setenv("FAMILY", Keypair.from_mnemonic_phrase(PHRASE, index=3).secret)
    signers, funding = {
        "seed": ("env:ONE", "env:ONE"),
        "phrase": (f"file:{phrase_file}", "env:FAMILY"),
        "issuer": ("", f"file:{issuer_file}"),
    }[channels]
    values = {"channel_signer": signers, "funding_signer": funding}
    with pytest.raises(ConfigurationError, match="MINTKEEPER_FUNDING_SIGNER is a channel account too"):
        build_wallet(settings(issuer_signer=f"file:{issuer_file}", **values))


def test_no_phrase_in_any_repr(issuer_file, phrase_file):
    """Whatever ends up in a log shows neither words nor keys."""
    wallet = build_wallet(settings(issuer_signer=f"file:{issuer_file}", channel_signer=f"file:{phrase_file}"))
    secret = Keypair.from_mnemonic_phrase(PHRASE).secret
    wallet.sign(DIGEST, [FIRST])
    shown = repr(wallet) + repr(vars(wallet)) + repr(wallet.family)
    assert "illness" not in shown
    assert secret not in shown
