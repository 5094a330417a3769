from domain.approvals import Verdict
from domain.mint_request import MintStatus
import asyncio
async def shots(site, name, path, tag):
    for kind, opts in {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 360, "height": 800}}}.items():
        p = await site.page(name, path, **({"viewport": {"width": 1280, "height": 900}} | opts))
        await p.wait_for_timeout(700)
        await p.screenshot(path=f"/tmp/shots-b/{tag}-{kind}.png", full_page=True)
        over = await p.evaluate("document.documentElement.scrollWidth - innerWidth")
        if over > 0: print(tag, kind, "overflows", over)
async def test_shots(site):
    t = await site.desk.submit()
    await site.desk.until_status(t, MintStatus.PENDING)
    await shots(site, "alice", f"/requests/{t.id}", "pending")
    await shots(site, "rita", f"/requests/{t.id}", "own")
    await site.desk.decide(t, "alice")
    await site.desk.until_status(t, MintStatus.CONFIRMED)
    await shots(site, "alice", f"/requests/{t.id}", "confirmed")
    t = await site.desk.submit()
    await site.desk.until_status(t, MintStatus.PENDING)
    await site.desk.decide(t, "bob", Verdict.REJECT)
    await shots(site, "alice", f"/requests/{t.id}", "rejected")
    print(site.complaints); site.complaints.clear()
