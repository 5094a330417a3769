"""Slack's Block Kit: the buttons in blocks, and what Slack refuses about blocks and modals.

Limits: docs.slack.dev/reference/block-kit (message 50 blocks; section text 3,000, field 2,000, 10 fields;
actions 25 elements; button text 75, value 2,000, action_id 255; confirmation 100, 300, 30, 30).
"""

from __future__ import annotations

from sandbox.providers.vendor import JsonObject, items, mapping

MOST_BLOCKS = 50
MOST_BLOCKS_OF_VIEW = 100
LONGEST_TITLE_OF_VIEW = 24
LONGEST_METADATA = 3000

_CONFIRMATION = {"title": 100, "text": 300, "confirm": 30, "deny": 30}


def buttons_of(blocks: object) -> tuple[JsonObject, ...]:
    """The buttons of all rows, in order."""
    rows = [mapping(block) for block in items(blocks)]
    elements = [
        mapping(one) for row in rows if row.get("type") == "actions" for one in items(row["elements"])
    ]
    return tuple(element for element in elements if element.get("type") == "button")


def wrong_blocks(blocks: object, most: int = MOST_BLOCKS) -> str:
    """Slack's word for what is wrong with the blocks of a message; empty: nothing."""
    found = [mapping(block) for block in items(blocks)]
    fine = len(found) <= most and all(_fine(block) for block in found)
    return "" if fine else "invalid_blocks"


def wrong_view(view: JsonObject) -> str:
    """The same of a modal."""
    fine = (
        view.get("type") == "modal"
        and _says(view.get("title"), LONGEST_TITLE_OF_VIEW)
        and all(_says(view[name], LONGEST_TITLE_OF_VIEW) for name in ("submit", "close") if name in view)
        and len(str(view.get("private_metadata", ""))) <= LONGEST_METADATA
        and len(str(view.get("callback_id", ""))) <= 255
        and items(view.get("blocks"))
    )
    return wrong_blocks(view.get("blocks"), MOST_BLOCKS_OF_VIEW) if fine else "invalid_arguments"


def _fine(block: JsonObject) -> bool:
    match block.get("type"):
        case "section":
            fields = items(block.get("fields"))
            text = "text" not in block or _says(block["text"], 3000)
            said = ("text" in block or bool(fields)) and len(fields) <= 10
            return text and said and all(_says(field, 2000) for field in fields)
        case "context":
            return 1 <= len(items(block.get("elements"))) <= 10
        case "actions":
            elements = [mapping(one) for one in items(block.get("elements"))]
            names = [element.get("action_id") for element in elements]
            unique = len(set(names)) == len(names)
            return 1 <= len(elements) <= 25 and unique and all(_fine_button(one) for one in elements)
        case "input":
            return _says(block.get("label"), 2000) and "element" in block
    return False


def _fine_button(button: JsonObject) -> bool:
    confirm = button.get("confirm")
    asks = confirm is None or all(
        _says(mapping(confirm).get(name), most) for name, most in _CONFIRMATION.items()
    )
    return (
        asks
        and _says(button.get("text"), 75)
        and 1 <= len(str(button.get("action_id", ""))) <= 255
        and len(str(button.get("value", ""))) <= 2000
        and button.get("style", "primary") in ("primary", "danger")
    )


def _says(text: object, most: int) -> bool:
    """A text object of Slack's with so many characters at most."""
    said = mapping(text)
    return said.get("type") in ("plain_text", "mrkdwn") and 1 <= len(str(said.get("text", ""))) <= most
