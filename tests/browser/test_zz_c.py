from tests.browser.test_accessibility import *
from tests.browser.test_accessibility import names as names
for _n in [n for n in globals() if n.startswith("test_")]: del globals()[_n]
async def test_shots_c(site, names):
    for look, o in LOOKS.items():
        for reader, tag, path in (("adam","dash","/dashboard"),("lena","audit","/audit"),("lena","verify","/audit/verify"),("adam","user","/admin/dictionaries/user/entries/alice"),("rita","reqs","/requests"),("alice","areqs","/requests")):
            page = await site.page(reader, path, **o)
            print(look, tag, await page.locator("header.top").evaluate("(top) => top.offsetHeight"))
            if look=="phone":
                print(await page.evaluate("""() => [...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 361 && !e.closest('.scroll') && !e.closest('svg')).slice(0,8).map(e => e.tagName+'.'+e.className+'#'+e.id+' '+e.getBoundingClientRect().right)"""))
            await page.screenshot(path=f"/tmp/shots-c/{tag}-{look}.png", full_page=True)
    site.complaints.clear()
