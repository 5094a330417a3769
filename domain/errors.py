"""Every error a user can meet, as one closed tree.

MintkeeperError
├── FieldsError           (never by itself) with a message for each field
│   ├── InvalidInput      what was typed or sent can't be right
│   └── NotFound          a request, user, policy … that does not exist
├── Refused               a rule of the house says no
│   ├── DecisionRefused   a decision had no effect (`reason` says which rule)
│   ├── AckRefused        an acknowledgement had no effect (`reason` says why)
│   ├── CommandRefused    a signed command had no effect (`reason` says why)
│   ├── AccessRefused     a pass or one-time code lets nobody in (`reason` says why)
│   ├── NotOpen           the request is no longer PENDING
│   ├── TransitionRefused a state change that the table of transitions lacks
│   ├── PrecheckFailed    the destination or the issuer is not ready on the ledger
│   └── IdempotencyConflict  the same key with other content
├── OutcomeUnknown        sent, but no answer: look before trying again
├── Unavailable           a part we depend on can't be reached
└── ConfigurationError    settings that contradict each other or are missing

`code` is part of the interface: the CLI prints it under `--json`, Temporal carries it as the
failure type, retry policies match it. Each message is one clear line that says what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping


class MintkeeperError(Exception):
    """Root of the tree."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FieldsError(MintkeeperError):
    """May say what is wrong field by field: `fields`, which the message ends with; `field` is the first."""

    def __init__(self, message: str, field: str = "", fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        self.field = field or next(iter(self.fields), "")
        told = "; ".join(f"{name}: {what}" for name, what in self.fields.items())
        super().__init__(f"{message}: {told}" if told else message)


class InvalidInput(FieldsError):
    """What was typed or sent can't be right; `field` names the offending part, `fields` every one."""

    code = "invalid_input"


class NotFound(FieldsError):
    """Names something that does not exist."""

    code = "not_found"


class Refused(MintkeeperError):
    """A rule of the house says no."""

    code = "refused"


class DecisionRefused(Refused):
    """A decision that had no effect; `reason` is one of `domain.approvals.RefusalReason`."""

    code = "decision_refused"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class AckRefused(Refused):
    """An acknowledgement that had no effect; `reason` is one of `domain.ack.AckRefusal`.

    `recorded` is what is known of the request, for those who hold a valid token of it.
    """

    code = "ack_refused"

    def __init__(self, message: str, reason: str = "", recorded: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.recorded = recorded or {}


class CommandRefused(Refused):
    """A signed command that had no effect; `reason` is one of `domain.commands.CommandRefusal`."""

    code = "command_refused"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class AccessRefused(Refused):
    """A pass or a one-time code that lets nobody in; `reason` is one of `domain.passes.AccessRefusal`."""

    code = "access_refused"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotOpen(Refused):
    """The request has left PENDING, or its deadline has passed."""

    code = "not_open"


class TransitionRefused(Refused):
    """A state change that the table of transitions does not allow."""

    code = "transition_refused"


class PrecheckFailed(Refused):
    """The ledger would refuse this payment; nothing was signed."""

    code = "precheck_failed"


class IdempotencyConflict(Refused):
    """The same idempotency key came with other content."""

    code = "idempotency_conflict"


class OutcomeUnknown(MintkeeperError):
    """Sent, but no answer came: it may still take effect."""

    code = "outcome_unknown"


class Unavailable(MintkeeperError):
    """A part we depend on (Temporal, database, Horizon, provider) can't be reached."""

    code = "unavailable"


class ConfigurationError(MintkeeperError):
    """Settings that contradict each other or are missing."""

    code = "configuration"
