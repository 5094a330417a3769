"""Keys that sign, by their ids and ages: the server's own, and people's. No private part is ever here."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.reads.admin import approver_keys, authority_keys
from domain.dsse import key_id
from domain.errors import MintkeeperError
from starter.key_file import is_seed_file, parse_seeds, read_private
from web.pages.admin.guard import AtDesk
from web.rendering import page
from web.state import State, Wired

router = APIRouter(prefix="/keys")


@router.get("")
async def keys_page(request: Request, state: Wired, person: AtDesk) -> HTMLResponse:
    """The authority's keys in their order (the first one signs), and every user's."""
    async with state.database.transaction() as tx:
        known = await authority_keys(tx, person.tenant)
        found = await approver_keys(tx, person.tenant)
    made, registered = _made(state), {one.key_id: one.registered_at for one in known}
    ours = [key_id(public) for public in state.authority.public_keys]
    authority = [(one, made.get(one), registered.get(one)) for one in ours]
    former = [one for one in known if one.key_id not in ours]
    return page(request, state, person, "admin/keys.html", authority=authority, former=former, keys=found)


def _made(state: State) -> dict[str, datetime]:
    """When each of the authority's keys was made, where its file says so."""
    found: dict[str, datetime] = {}
    for url in state.settings.authority_key.split(","):
        scheme, _, place = url.strip().partition(":")
        if scheme != "file" or not place:
            continue
        try:
            content = read_private(Path(place))
            if is_seed_file(content):
                text = content.decode("utf-8", "replace")
                found |= {kept.id: kept.created for kept in parse_seeds(text, place)}
        except MintkeeperError:
            # the keys in use were read before; doctor says what is wrong with the file now
            continue
    return found
