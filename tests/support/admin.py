"""What tests of the admin panel share: entries by hand, forms as a browser would send them."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pyotp

from db import reads
from db.reads.entries import entries
from db.writes.entries import By, set_entry
from domain.entry import Kind

DICTIONARIES = "/admin/dictionaries"
HTML = {"Accept": "text/html"}
_INPUT = re.compile(r"<input\b([^>]*)>")
_AREA = re.compile(r'<textarea[^>]*\bname="([^"]+)"[^>]*>(.*?)</textarea>', re.DOTALL)
_SELECT = re.compile(r'<select[^>]*\bname="([^"]+)"[^>]*>(.*?)</select>', re.DOTALL)
_OPTION = re.compile(r"<option\b([^>]*)>([^<]*)</option>")


async def stored(site, kind, code):
    """The entry in the database, or None."""
    async with site.desk.seeded.database.transaction() as tx:
        return (await entries(tx, site.desk.seeded.tenant, Kind(kind))).get(code)


async def put(site, dictionary, code, /, *, actor="eve", **fields):
    """Somebody else changes an entry."""
    by = By(site.desk.seeded.tenant, actor, datetime.now(UTC))
    async with site.desk.seeded.database.transaction() as tx:
        await set_entry(tx, Kind(dictionary), code, fields, by)


async def audited(site):
    """Kind and actor of every audit event of the tenant."""
    import json

    async with site.desk.seeded.database.transaction() as tx:
        found = [json.loads(event.body) for event in await reads.audit_events(tx, site.desk.seeded.tenant, 0)]
    return [(event["kind"], event["actor"]) for event in found]


async def set_up_totp(site, name):
    """Give a user an authenticator; answers its secret."""
    person = await site.accounts.person(await site.token(name))
    uri = await site.accounts.authenticators.begin(person)
    totp = pyotp.parse_uri(uri)
    # the code of the step before, so that the one of now is still good
    await site.accounts.authenticators.confirm(person, totp.at(datetime.now(UTC) - timedelta(seconds=30)))
    return totp


def form_of(page):
    """What a browser would send of the first entry form (or the whole page), if nothing is touched."""
    found = {}
    body = page.partition('<form class="entry card"')[2].partition("</form>")[0] or page
    for attributes in _INPUT.findall(body):
        told = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        if told.get("type") in ("checkbox", "radio") and not re.search(r"\bchecked\b", attributes):
            continue
        if "name" in told:
            found.setdefault(told["name"], []).append(unescape(told.get("value", "")))
    found |= {name: [unescape(text)] for name, text in _AREA.findall(body)}
    for name, options in _SELECT.findall(body):
        chosen = [one for one in _OPTION.findall(options) if re.search(r"\bselected\b", one[0])]
        value = re.search(r'value="([^"]*)"', chosen[0][0]) if chosen else None
        found[name] = [unescape(value[1] if value else chosen[0][1] if chosen else "")]
    return found
