"""Tests of web/page/index.html: what is shown first, on a small screen, by keyboard and to a screen reader."""

import re

from opened_page import PATIENCE, opened, predict_example, shown, wait_for_answer

NAMED = {"button", "combobox", "radio", "slider", "spinbutton", "image", "img", "application", "progressbar"}
# The least contrast of any text to what is behind it (WCAG 2, 1.4.3), without disabled buttons and those in the cloud.
CONTRAST = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + [0.2126, 0.7152, 0.0722][at] * value, 0);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (parts(colour)[3] ?? 1) > 0 || !element.parentElement ? colour : behind(element.parentElement);
  };
  const texts = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility() &&
    !element.disabled && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map((element) => {
    const [low, high] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }));
}"""

PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
  if (list.getEntriesByName("first-contentful-paint").length) done();
}).observe({ type: "paint", buffered: true }))"""


def test_the_page_is_painted_and_says_what_it_loads_before_any_script_has_come(browser, small_address):
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    held = []
    context.route("**/*.js", lambda route: held.append(route))  # never answered
    page.goto(small_address, wait_until="commit")
    page.evaluate(PAINTED)
    assert re.fullmatch(r"Loading the network and ONNX Runtime, \d+ MB …", page.locator("#status").inner_text())
    assert page.locator("h1").is_visible()
    assert page.locator("#camera").is_disabled()
    assert [route.request.url.rsplit("/")[-1] for route in held] == ["page.js"]
    context.close()


def test_a_phone_and_its_reader_find_everything(browser, small_address):
    page = opened(browser, small_address, width=360, color_scheme="dark")
    predict_example(page, 0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    named = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas:not([aria-hidden]), progress')].filter((e) =>"
        " !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.querySelector('img[alt]'))).map((e) => e.id)"
    )
    assert named == [], "each control has a name"
    assert "metres are not known" in page.locator("#unit").inner_text()
    page.locator("#points summary").click()
    page.wait_for_selector("#points-note:not(:empty)")
    page.get_by_label("over it").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#camera").focus()
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('[id]')?.id"))
    assert {"facing", "image-file", "video-file", "examples", "map", "size", "angle", "save-points"} <= reached
    before = shown(page)
    page.locator("#examples button").nth(1).press("Enter")
    wait_for_answer(page, before)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    # Some versions of Chromium leave the space between a label's text and its field in the name.
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip()) for node in tree if not node["ignored"]
    ]
    assert {role for role, name in found if role in NAMED and not name} == set()
    assert {("button", "Camera"), ("button", "example street 1"), ("combobox", "network's input"), ("radio", "over it"),
            ("spinbutton", "or focal length, pixels"), ("image", "the image")} <= set(found)  # fmt: skip
    assert "status" in dict(found), "what is loaded, and what is wrong, is read out"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) >= 4.5, scheme
    page.context.grant_permissions(["camera"])
    page.locator("#camera").click()
    page.wait_for_selector("#status.refused")
    assert "No camera was found" in page.locator("#status").inner_text()
    page.context.close()
