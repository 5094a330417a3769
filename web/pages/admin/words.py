"""What the panel calls dictionaries and their fields, and what it says beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from domain.entry import Kind


class KindWords(NamedTuple):
    """One entry, all of them, and what they are for."""

    one: str
    many: str
    about: str


class FieldWords(NamedTuple):
    """A field's label, and the hint below it."""

    label: str
    hint: str = ""


KINDS: Final[Mapping[Kind, KindWords]] = {
    Kind.DEPARTMENT: KindWords(
        "Department", "Departments", "Who answers for some topics. Its leads hear of what stalls."
    ),
    Kind.CALENDAR: KindWords(
        "Calendar", "Calendars", "Business time: the clock of an SLA runs within these hours only."
    ),
    Kind.TOPIC: KindWords("Topic", "Topics", "The desks that mint requests belong to."),
    Kind.USER: KindWords("User", "Users", "Requesters, approvers, admins and auditors."),
    Kind.STATUS: KindWords(
        "Status", "Statuses", "How the states of a request are called, and how long each may last."
    ),
    Kind.TRANSITION: KindWords(
        "Transition", "Transitions", "How long a request of a topic may take from one status to the next."
    ),
    Kind.RULE: KindWords(
        "Approval rule", "Approval rules", "Who has to approve a mint. The first rule that fits counts."
    ),
    Kind.CHANNEL: KindWords("Channel", "Channels", "Named ways to reach people; policies use them."),
    Kind.EVENT_RULE: KindWords(
        "Event rule",
        "Event rules",
        "What operational events lead to. Without a rule the leads get a message.",
    ),
    Kind.TENANT: KindWords(
        "Tenant", "Tenant", "Its name, its quiet hours, and what it allows on the ledger."
    ),
}

_CODE = FieldWords("Code", "1 to 63 of a-z, 0-9, - and _. It can't be changed later.")
_NAME = FieldWords("Name", "What people read.")
_QUIET = "One window a line, such as mon-fri 22:00-07:00 Europe/Berlin. Messages that can wait do so."
_WEEK = "Times of each day such as 09:00-12:00, 13:00-17:00. All empty: at any time."

FIELDS: Final[Mapping[Kind, Mapping[str, FieldWords]]] = {
    Kind.DEPARTMENT: {
        "code": _CODE,
        "name": _NAME,
        "slack_channel": FieldWords("Slack channel", "Where its leads are told of stalled requests: #name."),
        "leads": FieldWords("Leads", "They are told when a request of theirs stalls."),
    },
    Kind.CALENDAR: {
        "code": _CODE,
        "name": _NAME,
        "time_zone": FieldWords("Time zone", "IANA name such as Europe/Berlin."),
        "hours": FieldWords("Working hours", _WEEK),
        "country": FieldWords("Public holidays of", "Two capital letters such as DE; empty: none."),
        "subdivision": FieldWords("Part of the country", "For regional holidays, such as BY."),
        "holidays": FieldWords("Own holidays", "One date a line, such as 2026-12-24."),
    },
    Kind.TOPIC: {
        "code": _CODE,
        "name": _NAME,
        "department": FieldWords("Department", "Whose leads answer for it."),
        "calendar": FieldWords("Calendar", "Without one the clock of its SLA always runs."),
        "auto_assign_after_hours": FieldWords(
            "Assign after", "Hours without an assignee until a request is given to an approver."
        ),
        "active": FieldWords("Active", "Takes new requests."),
    },
    Kind.USER: {
        "name": FieldWords("User name", "Letters, digits, . _ @ -. It can't be changed later."),
        "roles": FieldWords("Roles", "Approvers decide, admins change what stands here, auditors only read."),
        "tier": FieldWords("Tier", "Of an approver: 1 operator, 2 manager, 3 executive."),
        "active": FieldWords("Active", "May sign in and act; is told things."),
        "email": FieldWords("E-mail", "Where messages and one-time codes go."),
        "telegram_chat": FieldWords("Telegram chat", "Its id, such as 123456789."),
        "slack_user": FieldWords(
            "Slack user", "Their member id in Slack, such as U024BE7LH: whose buttons count as theirs."
        ),
        "time_zone": FieldWords("Time zone", "IANA name such as Europe/Berlin; times are shown in it."),
        "primary_topic": FieldWords("Primary topic", "The desk they belong to."),
        "topics": FieldWords("Additional topics", "Desks they help out at."),
        "working_hours": FieldWords("Working hours", _WEEK),
        "max_load": FieldWords("Most open requests", "The sweep gives them no more than this; empty: any."),
        "quiet_hours": FieldWords("Quiet hours", f"{_QUIET} Empty: the tenant's."),
    },
    Kind.STATUS: {
        "code": FieldWords("Status"),
        "name": _NAME,
        "type": FieldWords("Type", "Where the figures count it."),
        "sla_hours": FieldWords("SLA in hours", "Where no transition says less; empty: none."),
    },
    Kind.TRANSITION: {
        "topic": FieldWords("Topic"),
        "from": FieldWords("From"),
        "to": FieldWords("To"),
        "sla_hours": FieldWords("SLA in hours", "Of several ways out the shortest counts; empty: none."),
    },
    Kind.RULE: {
        "position": FieldWords("Position", "The order: lower numbers are asked first."),
        "asset": FieldWords("Asset", "CODE:ISSUER, or * for every asset."),
        "min": FieldWords("From amount", "Lowest amount of the band, itself included."),
        "max": FieldWords("Up to amount", "Highest amount, itself included; empty: no limit."),
        "approvals": FieldWords("Approvals", "How many different approvers are needed."),
        "min_tier": FieldWords("Lowest tier", "Approvals below it don't count."),
        "at_least_one_of_tier": FieldWords("One at least of tier", "Or a higher one; empty: no matter."),
        "daily_cap": FieldWords("Cap in 24 h", "At most so much of an asset approved; empty: no cap."),
        "step_up_above": FieldWords(
            "Second factor above", "Who approves more needs a fresh code as well; empty: nobody does."
        ),
    },
    Kind.CHANNEL: {
        "name": FieldWords("Name", "1 to 63 of letters, digits, . _ -. Policies name it."),
        "kind": FieldWords("Kind"),
        "settings": FieldWords("Settings"),
    },
    Kind.EVENT_RULE: {
        "event_kind": FieldWords("Event"),
        "action": FieldWords(
            "What happens",
            "escalate follows a policy, inform sends one message to the leads, ignore nothing.",
        ),
        "policy_id": FieldWords("Policy", "With escalate, and only then."),
        "urgent": FieldWords("Urgent", "Goes out in quiet hours, too."),
    },
    Kind.TENANT: {
        "code": FieldWords("Code"),
        "name": _NAME,
        "quiet_hours": FieldWords("Quiet hours", f"{_QUIET} For groups, and who has none of their own."),
        "auth_sandwich": FieldWords(
            "Authorise around the payment",
            "Only where the asset asks for it: the trustline is open for one mint.",
        ),
        "claimable_balance": FieldWords(
            "Claimable balance", "Where the destination has no trustline yet, let it claim the mint."
        ),
        "reclaim_after_days": FieldWords("Claim within", "Days; then the issuer may take it back."),
        "one_shot_ticket": FieldWords("One ticket per mint", "Submit without a channel account's sequence."),
    },
}

SETTINGS: Final[Mapping[str, FieldWords]] = {
    "channel": FieldWords("Channel", "Such as #mint."),
    "chat_id": FieldWords("Chat id", "Of the group, such as -1001234567890."),
    "url": FieldWords("URL", "Where messages are posted to; https only."),
    "secret": FieldWords("Signing secret", "A reference, env:NAME or file:/path, never the secret itself."),
    "routing_key": FieldWords("Routing key", "A reference, env:NAME or file:/path; empty: the common one."),
    "severity": FieldWords("Severity", "critical, error, warning or info."),
    "per_minute": FieldWords("Messages a minute", "At most, in the long run; empty: no limit."),
    "burst": FieldWords("Burst", "So many at once after a pause."),
}

LISTED: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DEPARTMENT: ("name", "leads", "slack_channel"),
    Kind.CALENDAR: ("name", "time_zone", "hours", "country"),
    Kind.TOPIC: ("name", "department", "calendar", "auto_assign_after_hours", "active"),
    Kind.USER: ("roles", "tier", "email", "primary_topic", "topics", "active"),
    Kind.STATUS: ("name", "type", "sla_hours"),
    Kind.TRANSITION: ("sla_hours",),
    Kind.RULE: ("asset", "min", "max", "approvals"),
    Kind.CHANNEL: ("kind", "settings"),
    Kind.EVENT_RULE: ("action", "policy_id", "urgent"),
    Kind.TENANT: ("name",),
}
"""Which fields the list of a dictionary shows beside the code."""
