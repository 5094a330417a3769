"""From `keys sign` to the HTTP API, as a person with a shell does it."""

from tests.cli.conftest import write_keys
from tests.cli.test_dictionaries import body
from tests.support.tokens import client_of
from tests.web.test_acks import running, settings_of


async def test_what_is_signed_on_the_command_line_takes_effect_over_http(cli, seeded, tmp_path):
    """Publish, switch and read; the same output sent again is a replay."""
    write_keys(tmp_path, seeded)
    file = tmp_path / "policy.json"
    file.write_text(body())
    options = ["--target", "acme-mint-2", "--as", "adam", "--tenant", "acme"]
    publish = await cli("keys", "sign", "--action", "policy.publish", *options, str(file))
    switch = await cli("keys", "sign", "--action", "policy.switch", *options)
    async for url in running(settings_of(seeded, authority="")):
        async with client_of(seeded, url, "alice") as web:
            made = await web.post("/api/policies", content=publish.out)
            switched = await web.post("/api/policies/acme-mint-2/switch", content=switch.out)
            again = await web.post("/api/policies", content=publish.out)
            shown = (await web.get("/api/policies/acme-mint-2")).json()
    assert (made.status_code, switched.status_code, again.status_code) == (201, 200, 409)
    assert (shown["current"], shown["publishedBy"]) == (True, "adam")
