"""What a tenant's admins maintain; every change is audited, writing the same again is none.

The functions stand by subject in `tenants`, `desks`, `people`, `terms` and `channels`; `entries` takes an
entry of any kind, checked, and `configuration` a whole file.
"""

from db.writes.channels import remove_channel, set_channel
from db.writes.desks import (
    deactivate_topic,
    remove_calendar,
    remove_department,
    set_calendar,
    set_department,
    set_lead,
    set_leads,
    set_topic,
)
from db.writes.people import deactivate_user, register_key, revoke_key, set_user, set_user_quiet_hours
from db.writes.tenants import rename_tenant, set_ledger_options, set_tenant, set_tenant_quiet_hours
from db.writes.terms import (
    remove_rule,
    remove_status,
    remove_transition,
    set_rule,
    set_status,
    set_transition,
)

__all__ = [
    "deactivate_topic",
    "deactivate_user",
    "register_key",
    "remove_calendar",
    "remove_channel",
    "remove_department",
    "remove_rule",
    "remove_status",
    "remove_transition",
    "rename_tenant",
    "revoke_key",
    "set_calendar",
    "set_channel",
    "set_department",
    "set_lead",
    "set_leads",
    "set_ledger_options",
    "set_rule",
    "set_status",
    "set_tenant",
    "set_tenant_quiet_hours",
    "set_topic",
    "set_transition",
    "set_user",
    "set_user_quiet_hours",
]
