"""How far a submission may go: the limits that configuration sets."""

from __future__ import annotations

from dataclasses import dataclass

from settings import Settings

BASE_FEE = 100
"""Stroops of the native asset for one operation: the network's minimum."""


@dataclass(frozen=True, slots=True)
class SubmissionRules:
    """The network, the time window in seconds of ledger time, and the dearest fee bump in native stroops."""

    network_passphrase: str
    window_seconds: int
    max_fee_stroops: int

    @classmethod
    def of(cls, settings: Settings) -> SubmissionRules:
        """Take them from the configuration."""
        return cls(
            network_passphrase=settings.network_passphrase,
            window_seconds=settings.submission_window_seconds,
            max_fee_stroops=settings.max_fee_stroops,
        )
