"""What a tenant's admins maintain: one model per dictionary, and every rule an entry must keep.

An entry has a kind (`topic`), a code that names it (`treasury-eu`) and fields. CLI, API and configuration
files bring fields; `check` says everything that is wrong with them at once, by field. The code of a
transition is `TOPIC:FROM->TO`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from domain.amounts import MAX_STROOPS, parse_amount
from domain.approvals import ActorRole, ApprovalRule
from domain.calendars import BusinessCalendar
from domain.channels import CHANNEL_KINDS, check_settings
from domain.entry import Entry, Kind
from domain.entry_fields import (
    Address,
    Amount,
    AmountOrZero,
    AssetName,
    Channel,
    Code,
    Codes,
    Country,
    Dates,
    Flag,
    Hours,
    Position,
    Quiet,
    Settings,
    SlackUser,
    Status,
    Title,
    User,
    Week,
    Zone,
    line,
    one_of,
    several_of,
    shown,
    whole,
)
from domain.errors import InvalidInput
from domain.mint_request import MintStatus
from domain.runs import EventAction, EventKind
from domain.sla import STATUS_NAMES, STATUS_TYPES, StatusType

ROLES: Final[tuple[ActorRole, ...]] = ("requester", "approver", "admin", "auditor")


class DepartmentEntry(Entry):
    """Who answers for some topics; its leads hear of what stalls."""

    refers: ClassVar[Mapping[str, str]] = {"leads": "user"}

    code: Code
    name: Title
    slack_channel: Annotated[str, line(80)] | None = None
    leads: Codes = Field(default_factory=list)

    @classmethod
    def defaults(cls, code: str) -> dict[str, Any]:
        """Called by its code."""
        return {"name": code}


class CalendarEntry(Entry):
    """Business time: working hours per weekday in a zone, without the holidays of a country."""

    code: Code
    name: Title
    time_zone: Zone
    hours: Week
    country: Country | None = None
    subdivision: Annotated[str, line(40)] | None = None
    holidays: Dates = Field(default_factory=list)

    @classmethod
    def defaults(cls, code: str) -> dict[str, Any]:
        """Called by its code."""
        return {"name": code}

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A country and its part must be known."""
        try:
            BusinessCalendar.parse({}, "UTC", raw.get("country"), raw.get("subdivision"))
        except InvalidInput as error:
            yield error.field, error.message.removeprefix(f"{error.field}: ")


class TopicEntry(Entry):
    """A desk that requests belong to."""

    refers: ClassVar[Mapping[str, str]] = {"department": "department", "calendar": "calendar"}

    code: Code
    name: Title
    department: str
    calendar: str | None = None
    auto_assign_after_hours: Hours = 24
    active: Flag = True

    @classmethod
    def defaults(cls, code: str) -> dict[str, Any]:
        """Called by its code."""
        return {"name": code}


class UserEntry(Entry):
    """A person of the tenant; keys are registered by themselves."""

    named_by: ClassVar[tuple[str, ...]] = ("name",)
    refers: ClassVar[Mapping[str, str]] = {"primary_topic": "topic", "topics": "topic"}

    name: User
    roles: Annotated[list[str], several_of(*ROLES)] = Field(default_factory=list)
    tier: Annotated[int, whole(1, 3)] | None = None
    active: Flag = True
    email: Address | None = None
    telegram_chat: Annotated[str, line(64)] | None = None
    slack_user: SlackUser | None = None
    time_zone: Zone = "UTC"
    primary_topic: str | None = None
    topics: Codes = Field(default_factory=list)
    working_hours: Week = Field(default_factory=dict)
    max_load: Annotated[int, whole(1, 100_000)] | None = None
    quiet_hours: Quiet = Field(default_factory=list)

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Who decides has a tier."""
        if "approver" in raw.get("roles", ()) and raw.get("tier") is None:
            yield "tier", "an approver needs a tier: 1, 2 or 3"


class StatusEntry(Entry):
    """How a tenant calls and times a status of the life of a request."""

    code: Status
    name: Title
    type: Annotated[str, one_of(*(kind.value for kind in StatusType))]
    sla_hours: Hours | None = None

    @classmethod
    def defaults(cls, code: str) -> dict[str, Any]:
        """As it is without an entry."""
        if code not in set(MintStatus):
            return {"name": code, "type": StatusType.WORKFLOW.value}
        return {"name": STATUS_NAMES[MintStatus(code)], "type": STATUS_TYPES[MintStatus(code)].value}


class TransitionEntry(Entry):
    """How long a request of a topic may take from one status to another."""

    named_by: ClassVar[tuple[str, ...]] = ("topic", "from", "to")
    refers: ClassVar[Mapping[str, str]] = {"topic": "topic"}

    topic: str
    from_status: Status = Field(alias="from")
    to_status: Status = Field(alias="to")
    sla_hours: Hours | None = None

    @classmethod
    def named(cls, code: str) -> dict[str, Any]:
        """Topic and both statuses."""
        topic, _, way = code.partition(":")
        begin, _, end = way.partition("->")
        return {"topic": topic, "from": begin, "to": end}

    @classmethod
    def hidden(cls) -> tuple[str, ...]:
        """What the code says."""
        return ("topic", "from_status", "to_status")

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A way leads somewhere else."""
        if raw.get("from") and raw.get("from") == raw.get("to"):
            yield "to", f"must differ from 'from', which is {shown(raw['to'])} too"


class RuleEntry(Entry):
    """A line of the table of approval rules; amounts are decimal strings, `max` null is no limit."""

    named_by: ClassVar[tuple[str, ...]] = ("position",)

    position: Position
    asset: AssetName = "*"
    min: AmountOrZero = "0.0000000"
    max: Amount | None = None
    approvals: Annotated[int, whole(1, 20)]
    min_tier: Annotated[int, whole(1, 3)] = 1
    at_least_one_of_tier: Annotated[int, whole(1, 3)] | None = None
    daily_cap: Amount | None = None
    step_up_above: AmountOrZero | None = None
    """Who approves more needs a one-time code as well."""

    @classmethod
    def named(cls, code: str) -> dict[str, Any]:
        """Its place in the order; `01` is no other name of 1, which it would overwrite."""
        number = int(code) if code.isdecimal() and code.isascii() and len(code) < 12 else None
        return {"position": number if str(number) == code else code}

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The band holds an amount."""
        if raw.get("max") is not None and stroops(raw.get("min", "0")) > stroops(raw["max"]):
            yield "max", "the amount band is empty: min is above max"

    def rule(self, tenant: str) -> ApprovalRule:
        """As decisions are judged by it."""
        return ApprovalRule(
            tenant=tenant,
            position=self.position,
            asset=self.asset,
            min_stroops=stroops(self.min),
            max_stroops=MAX_STROOPS if self.max is None else stroops(self.max),
            approvals=self.approvals,
            min_tier=self.min_tier,
            at_least_one_of_tier=self.at_least_one_of_tier,
            daily_cap_stroops=None if self.daily_cap is None else stroops(self.daily_cap),
            step_up_above_stroops=None if self.step_up_above is None else stroops(self.step_up_above),
        )


class ChannelEntry(Entry):
    """A named way to reach people; secrets are references, never values."""

    named_by: ClassVar[tuple[str, ...]] = ("name",)

    name: Channel
    kind: Annotated[str, one_of(*CHANNEL_KINDS)]
    settings: Settings = Field(default_factory=dict)

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Settings go with the kind."""
        settings = raw.get("settings", {})
        if isinstance(raw.get("kind"), str) and isinstance(settings, Mapping):
            try:
                check_settings(raw["kind"], settings)
            except InvalidInput as error:
                yield error.field, error.message


class EventRuleEntry(Entry):
    """What the tenant wants to happen at operational events of a kind."""

    named_by: ClassVar[tuple[str, ...]] = ("event_kind",)
    refers: ClassVar[Mapping[str, str]] = {"policy_id": "policy"}

    event_kind: Annotated[str, one_of(*(kind.value for kind in EventKind))]
    action: Annotated[str, one_of(*(action.value for action in EventAction))]
    policy_id: str | None = None
    urgent: Flag = True

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A policy escalates, and nothing else does."""
        if (raw.get("policy_id") is not None) != (raw.get("action") == EventAction.ESCALATE):
            yield "policy_id", "goes with the action escalate, and only with it"


class TenantEntry(Entry):
    """The tenant itself: its name, when its people are left alone, what it allows on the ledger."""

    code: str
    name: Title
    quiet_hours: Quiet = Field(default_factory=list)
    auth_sandwich: Flag = False
    claimable_balance: Flag = False
    reclaim_after_days: Annotated[int, whole(1, 3650)] = 30
    one_shot_ticket: Flag = False


MODELS: Final[Mapping[Kind, type[Entry]]] = {
    Kind.DEPARTMENT: DepartmentEntry,
    Kind.CALENDAR: CalendarEntry,
    Kind.TOPIC: TopicEntry,
    Kind.USER: UserEntry,
    Kind.STATUS: StatusEntry,
    Kind.TRANSITION: TransitionEntry,
    Kind.RULE: RuleEntry,
    Kind.CHANNEL: ChannelEntry,
    Kind.EVENT_RULE: EventRuleEntry,
    Kind.TENANT: TenantEntry,
}


def transition_code(topic: str, begin: str, end: str) -> str:
    """How a transition is named."""
    return f"{topic}:{begin}->{end}"


def stroops(amount: str) -> int:
    """An amount that may be zero, in stroops; raises InvalidInput."""
    return 0 if not amount.strip(" 0.") else parse_amount(amount)


def every_status(own: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """All statuses as they hold, with what the tenant says of them."""
    return {
        code.value: {**StatusEntry.defaults(code), "sla_hours": None, **own.get(code, {})}
        for code in MintStatus
    }
