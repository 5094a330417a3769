"""The pictures of docs/web.md, taken from the demo's own world: `make screenshots`.

Starts `mintkeeper demo` in a directory of its own, waits until its plays are over, signs in as the demo's
people with the password of stack.json, and writes one file a picture into docs/images.
"""

import asyncio
import json
import os
import re
import signal
import struct
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.support.site import CHROMIUM_OPTIONS, chromium_path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images"
LARGEST = 150 * 1024
"""Bytes of a picture: more would make the documentation slow."""

_DESK = {"width": 1200, "height": 780}
_PHONE = {"width": 390, "height": 780}
_MAIL_SECONDS = 20
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """Who looks at what; `path` names a request by its status: `{confirmed}`, or `{confirmed_track}`."""

    name: str
    reader: str
    path: str
    dark: bool = False
    phone: bool = False
    whole: bool = False
    """The whole page, and not only what a screen shows of it."""


PICTURES = (
    Picture("inbox", "alice", "/inbox"),
    Picture("request", "alice", "/requests/{pending}"),
    Picture("request-minted", "carol", "/requests/{confirmed}", dark=True),
    Picture("request-phone", "alice", "/requests/{pending}", phone=True),
    Picture("dashboard", "adam", "/dashboard", whole=True),
    Picture("audit", "lena", "/audit?kind=decision", dark=True),
    Picture("admin", "adam", "/admin/policies/acme-mint-default-1"),
    Picture("track", "", "/track/{confirmed_track}", phone=True),
)


async def main() -> None:
    """Take them all; fails when one is larger than it may be."""
    TARGET.mkdir(parents=True, exist_ok=True)
    async with _demo() as stack, async_playwright() as playwright:
        options = [*CHROMIUM_OPTIONS, "--force-color-profile=srgb"]
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=options)
        requests = await _requests(browser, stack)
        for picture in PICTURES:
            file = TARGET / f"{picture.name}.png"
            file.write_bytes(_packed(await _take(browser, stack, requests, picture)))
            print(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1024} KB")
        await browser.close()
    large = [file.name for file in TARGET.glob("*.png") if file.stat().st_size > LARGEST]
    if large:
        raise SystemExit(f"error: larger than {LARGEST // 1024} KB: {', '.join(large)}")


@asynccontextmanager
async def _demo() -> AsyncIterator[dict]:
    """The demo, played to its end and left running; answers its stack.json."""
    with tempfile.TemporaryDirectory(prefix="mintkeeper-shots-") as directory:
        command = [sys.executable, str(ROOT / "cli.py"), "demo", "--data-dir", directory]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=_environment()
        )
        try:
            async for line in process.stdout:
                print(line.decode().rstrip())
                if b"stays up until" in line:
                    break
            else:
                raise SystemExit("error: the demo ended before its plays were over")
            yield json.loads((Path(directory) / "stack.json").read_text())
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                await process.communicate()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MINTKEEPER_")}


async def _sign_in(browser: Browser, stack: dict, reader: str, **options) -> Page:
    context = await browser.new_context(base_url=stack["web_url"], **options)
    page = await context.new_page()
    if reader:
        await page.goto("/sign-in")
        await page.get_by_label("User name").fill(reader)
        await page.get_by_label("Password").fill(stack["demo"]["password"])
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await page.wait_for_load_state()
    return page


async def _requests(browser: Browser, stack: dict) -> dict[str, str]:
    """The newest request of each status, by its name in lower case; with `_track` its track number."""
    page = await _sign_in(browser, stack, "adam")
    listed = await (await page.request.get("/api/requests")).json()
    await page.context.close()
    found = {one["status"].lower(): one for one in reversed(listed["requests"])}
    numbers = {f"{status}_track": one["track_number"] for status, one in found.items()}
    return numbers | {status: one["id"] for status, one in found.items()}


async def _take(browser: Browser, stack: dict, requests: dict[str, str], picture: Picture) -> bytes:
    look = {
        "viewport": _PHONE if picture.phone else _DESK,
        "color_scheme": "dark" if picture.dark else "light",
        "reduced_motion": "reduce",
    }
    page = await _sign_in(browser, stack, picture.reader, **look)
    await page.goto(picture.path.format(**requests))
    if not picture.reader:
        await _show_the_code(page, stack)
    # what is looked up on the ledger comes a moment later
    await page.wait_for_timeout(1500)
    shot = await page.screenshot(full_page=picture.whole, animations="disabled", caret="hide")
    await page.context.close()
    return shot


async def _show_the_code(page: Page, stack: dict) -> None:
    """Go the client's way: ask for the one-time code, and type what the mail says."""
    await page.get_by_role("button", name="Send me a code").click()
    mail = re.compile(r"\b(\d{6})\b")
    for _ in range(_MAIL_SECONDS):
        await page.wait_for_timeout(1000)
        messages = await (await page.request.get(f"{stack['providers_url']}/messages")).json()
        codes = [mail.search(one["text"]) for one in messages if "code" in one["subject"].lower()]
        if codes and codes[-1]:
            await page.get_by_label("Six digits").fill(codes[-1][1])
            await page.get_by_role("button", name="Show my request").click()
            return
    raise SystemExit("error: no mail with a code came")


def _packed(png: bytes) -> bytes:
    """The same picture, packed as tightly as it goes and without what only tools read."""
    chunks = list(_chunks(png))
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), 9)
    header = next(body for kind, body in chunks if kind == b"IHDR")
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    packed = _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return min(png, packed, key=len)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + 12


if __name__ == "__main__":
    asyncio.run(main())
