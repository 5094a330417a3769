"""Which signatures of a transaction count, for how much, and whether all of them were needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

from stellar_sdk import Keypair, StrKey
from stellar_sdk.exceptions import BadSignatureError

from sandbox.ledger.codec import raw_from_account
from sandbox.ledger.envelopes import Signature
from sandbox.ledger.rules import UINT8_MAX

WeightedKey = tuple[str, int]


@lru_cache(maxsize=65536)
def _verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Cached, because each signature is asked for at admission, before the ledger and in it."""
    try:
        Keypair.from_raw_ed25519_public_key(public_key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@lru_cache(maxsize=65536)
def _payload_signer(key: str) -> tuple[bytes, bytes]:
    raw = StrKey.decode_ed25519_signed_payload(key)
    length = int.from_bytes(raw[32:36], "big")
    return raw[:32], raw[36 : 36 + length]


class SignatureChecker:
    """Weighs the signatures over one hash and remembers which of them were used."""

    def __init__(self, content_hash: bytes, signatures: Sequence[Signature]) -> None:
        self._hash = content_hash
        self._signatures = signatures
        self._used = [False] * len(signatures)

    def check(self, signers: Sequence[WeightedKey], needed: int) -> bool:
        """Whether the signatures reach the weight ``needed``; at least one must match, even if that is 0."""
        total = 0
        for key, weight in signers:
            if key[0] == "T" and StrKey.decode_pre_auth_tx(key) == self._hash:
                total += min(weight, UINT8_MAX)
                if total >= needed:
                    return True
        for kind, matches in (("X", self._opens), ("G", self._signed), ("P", self._signed_payload)):
            candidates = [signer for signer in signers if signer[0][0] == kind]
            total = self._weigh(candidates, matches, total, needed)
            if total < 0:
                return True
        return False

    def _weigh(
        self, signers: list[WeightedKey], matches: Callable[[Signature, str], bool], total: int, needed: int
    ) -> int:
        """Add up matching weights; -1 once ``needed`` is reached, so that later signatures stay unused."""
        for index, signature in enumerate(self._signatures):
            for position, (key, weight) in enumerate(signers):
                if not matches(signature, key):
                    continue
                self._used[index] = True
                total += min(weight, UINT8_MAX)
                if total >= needed:
                    return -1
                del signers[position]
                break
        return total

    def all_used(self) -> bool:
        """Whether no signature was superfluous."""
        return all(self._used)

    def _signed(self, signature: Signature, key: str) -> bool:
        public_key = raw_from_account(key)
        return signature[0] == public_key[-4:] and _verifies(public_key, self._hash, signature[1])

    def _opens(self, signature: Signature, key: str) -> bool:
        digest = StrKey.decode_sha256_hash(key)
        return signature[0] == digest[-4:] and sha256(signature[1]).digest() == digest

    def _signed_payload(self, signature: Signature, key: str) -> bool:
        public_key, payload = _payload_signer(key)
        tail = payload[-4:].ljust(4, bytes(1))
        hint = bytes(a ^ b for a, b in zip(public_key[-4:], tail, strict=True))
        return signature[0] == hint and _verifies(public_key, payload, signature[1])
