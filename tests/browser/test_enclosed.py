"""A PNG of a point, dropped where that point is not: it comes back with the picture."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, shown
from tests.browser.test_panels import KEEP_POINT, find, open_tab, until
from tests.browser.test_stage import DROP

POINTS = "return [...document.querySelectorAll('#project-panel input.name')].map((field) => field.value)"


def forget(tab: Any, name: str) -> None:
    remove = f"fetch('/points/{name}?checkpoint=brain', {{ method: 'DELETE' }}).then((all) => arguments[0](all.status))"
    assert tab.execute_async_script(remove) == 200


def test_a_picture_of_a_point_brings_the_point_along(tab: Any, app: str) -> None:
    assert tab.execute_async_script(KEEP_POINT, "traveller") < 300
    recipe = quote(json.dumps({"checkpoint": "brain", "point": "traveller"}))
    picture = urllib.request.urlopen(f"{app}frame?recipe={recipe}").read()
    forget(tab, "traveller")
    open_tab(tab, "Project")
    find(tab, "#project-panel")
    assert "traveller" not in tab.execute_script(POINTS)
    try:
        tab.execute_script(DROP, b64encode(picture).decode(), "of a point.png")
        shown(tab, point="traveller")
        until(lambda: "traveller" in tab.execute_script(POINTS))
        assert not complaints(tab)
    finally:
        forget(tab, "traveller")
