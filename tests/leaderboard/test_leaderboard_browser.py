"""The page in real headless Chromium: silent, asks for nothing, sorts and filters by mouse and by keyboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.build import build
from leaderboard.table import METRICS
from svmbench.records import Score
from svmbench.store import RunFolder

pytestmark = pytest.mark.browser
EVIL = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"


@pytest.fixture
def opened(chromium: Any, run: RunFolder, tmp_path: Path) -> Any:
    """The driver on the page of the full run, logs emptied."""
    path = build([run], tmp_path / "out")
    chromium.get_log("browser"), chromium.get_log("performance")
    chromium.get(path.as_uri())
    return chromium


def names(driver: Any) -> list[str]:
    return driver.execute_script(
        "return [...document.querySelector('tbody[data-rows]').rows].map(r => r.cells[0].querySelector('bdi').textContent)"
    )


def sorts(driver: Any) -> dict[str, str]:
    return driver.execute_script(
        "return Object.fromEntries([...document.querySelector('table[data-sort]').tHead.rows[0].cells]"
        ".filter(h => h.hasAttribute('aria-sort')).map(h => [h.textContent.trim(), h.getAttribute('aria-sort')]))"
    )


def test_nothing_on_the_console_and_nothing_asked_of_the_network(opened: Any) -> None:
    from selenium.webdriver.common.by import By

    for button in opened.find_elements(By.CSS_SELECTOR, "thead button"):
        button.click()
    assert opened.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [opened.current_url]


def test_a_click_sorts_and_a_second_one_turns_round(opened: Any) -> None:
    from selenium.webdriver.common.by import By

    button = opened.find_elements(By.CSS_SELECTOR, "table[data-sort] thead button")[3]
    assert (names(opened), sorts(opened)) == (["mvbind", "vm_net · hong", "cca"], {})
    button.click()
    assert (names(opened), sorts(opened)) == (["mvbind", "vm_net · hong", "cca"], {"R@10": "descending"})
    button.click()
    assert (names(opened), sorts(opened)) == (["cca", "vm_net · hong", "mvbind"], {"R@10": "ascending"})
    assert opened.find_element(By.ID, "status").text == "Sorted by R@10, ascending."
    bodies = "return [...document.querySelector('table[data-sort]').tBodies].map(b => b.className)"
    assert opened.execute_script(bodies) == ["chance", "measured", "control"]


def test_the_keyboard_alone_skips_filters_and_sorts(opened: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> Any:
        for key in keys:
            opened.switch_to.active_element.send_keys(key)
        return opened.switch_to.active_element

    opened.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert opened.switch_to.active_element.get_attribute("class") == "skip"
    while press(Keys.TAB).get_attribute("id") != "filter":
        pass
    press("vm")
    visible = "[...document.querySelectorAll('tbody[data-rows] tr')].filter(r => !r.hidden)"
    shown = f"return {visible}.map(r => r.cells[0].querySelector('bdi').textContent)"
    assert opened.execute_script(shown) == ["vm_net · hong", "vm_net · hong"]
    assert opened.find_element(By.ID, "status").text == "2 of 6 rows"
    press(Keys.BACKSPACE, Keys.BACKSPACE)
    while press(Keys.TAB).text.strip(" ↕") != "MedR":
        pass
    press(Keys.ENTER)
    assert sorts(opened) == {"MedR": "ascending"}
    press(Keys.SPACE)
    assert (names(opened), sorts(opened)) == (["cca", "vm_net · hong", "mvbind"], {"MedR": "descending"})


def test_undefined_values_stay_last_whichever_way(
    chromium: Any, score: Callable[..., Score], make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By

    rows = [score(baseline="a", value=None, ci95=None), score(baseline="b", value=0.2), score(baseline="c", value=0.4)]
    chromium.get(build([make_run("gaps", rows)], tmp_path / "out").as_uri())
    button = chromium.find_elements(By.CSS_SELECTOR, "thead button")[1]
    button.click()
    assert names(chromium) == ["c", "b", "a"]
    button.click()
    assert names(chromium) == ["b", "c", "a"]


def test_hostile_names_do_nothing(
    chromium: Any, score: Callable[..., Score], make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    rows = [score(baseline=name, dataset=EVIL, device=EVIL, checks=(EVIL,)) for name in (EVIL, "b")]
    chromium.get_log("browser")
    chromium.get(build([make_run("evil", rows)], tmp_path / "out").as_uri())
    assert chromium.execute_script("return [window.pwned ?? null, document.images.length, document.scripts.length]") == [
        None,
        0,
        1,
    ]
    assert chromium.get_log("browser") == []


def test_no_name_is_broken_on_a_wide_screen(
    chromium: Any,
    score: Callable[..., Score],
    make_run: Callable[..., RunFolder],
    standing: Callable[..., None],
    tmp_path: Path,
) -> None:
    names = ("mean_embedding", "a_name_of_twenty_char")
    values = {metric: 9999.0 if metric == "median_rank" else 0.5 for metric in METRICS}
    rows = [
        score(baseline=n, metric=m, value=v, ci95=(v / 2, v), device="NVIDIA H200", checks=("negative_controls", "split_leak"))
        for n in names
        for m, v in values.items()
    ]
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    run = make_run("names", rows)
    standing(run, [(f"{n} default", 1, "x default", 0.5, "") for n in names])
    chromium.get(build([run], tmp_path / "out").as_uri())
    tops = "new Set([...b.getClientRects()].map(r => Math.round(r.top))).size"
    assert chromium.execute_script(f"return [...document.querySelectorAll('.scores th.name bdi')].map(b => {tops})") == [1, 1]
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    inside = "const s = document.querySelector('.scroll'); return [s.scrollWidth, s.clientWidth]"
    assert len(set(chromium.execute_script(inside))) == 1, "nine metrics, the tier and two failed checks have room at 1400 px"
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width_px", [400, 900, 1400])
def test_no_width_makes_the_page_itself_scroll_sideways(opened: Any, width_px: int) -> None:
    size = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": width_px < 500}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    inner, outer = opened.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert inner == outer <= width_px
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
