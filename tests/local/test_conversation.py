"""A client and the desk on a running stack: a code by mail, words both ways, a document."""

import re

import httpx
import pytest

from tests.local.stacks import mintkeeper, until
from tests.support.documents import PDF


@pytest.fixture(scope="module")
def request_of_rita(up):
    """An open request."""
    return mintkeeper(
        "submit", "--amount", "41.5", "--topic", "treasury-eu", "--requester", "rita", data_dir=up.data_dir
    )


def code_by_mail(up, subject):
    """The code of the newest mail about it."""
    messages = httpx.get(f"{up.document()['providers_url']}/messages").json()
    found = [
        re.search(r"one-time code[a-z ]*: (\d{6})", one["text"]) for one in messages if subject in one["text"]
    ]
    codes = [one[1] for one in found if one]
    return codes[-1] if codes else None


def test_a_client_logs_in_by_mail_writes_and_hands_in_a_document(up, request_of_rita, tmp_path):
    """From the provider's mail to the desk's command line, with the stack's own secret and storage."""
    number = request_of_rita["track_number"]
    with httpx.Client(base_url=f"{up.document()['web_url']}/api/track/{number}") as web:
        assert web.post("/code").status_code == 202
        code = until(lambda: code_by_mail(up, number), "the code is in the mail")
        session = web.post("/session", json={"code": code})
        web.headers["Authorization"] = f"Bearer {session.json()['token']}"
        assert web.post("/messages", json={"text": "here is the invoice"}).status_code == 201
        announced = web.post("/attachments", json={"filename": "invoice.pdf", "size": len(PDF)}).json()
        stored = web.put(f"/attachments/{announced['id']}", content=PDF).json()
        mintkeeper("comment", request_of_rita["id"], "--as", "alice", "thank you", data_dir=up.data_dir)
        shown = until(lambda: _answered(web), "the desk's words are there")
    assert [one["text"] for one in shown["messages"]] == ["here is the invoice", "thank you"]
    out = tmp_path / "invoice.pdf"
    mintkeeper("attachments", "get", stored["id"], "--out", str(out), data_dir=up.data_dir)
    assert out.read_bytes() == PDF
    found = mintkeeper("show", request_of_rita["id"], data_dir=up.data_dir)
    assert [one["sha256"] for one in found["attachments"]] == [stored["sha256"]]
    for log in (up.data_dir / "logs").iterdir():
        assert code not in re.findall(r"\b\d{6}\b", log.read_text(errors="replace")), log.name


def _answered(web):
    shown = web.get(str(web.base_url).rstrip("/")).json()
    return shown if len(shown["messages"]) == 2 else None


def test_the_doctor_finds_storage_and_secret(up):
    """Both are the stack's own, and somebody serves the queue of the clean-up."""
    found = mintkeeper("doctor", data_dir=up.data_dir)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert (states["storage"], states["session secret"], states["worker uploads"]) == ("ok", "ok", "ok")
