"""A page in Chromium, as the tests in tests/web open and ask it."""

import time

import numpy as np

PATIENCE = 240_000  # on a busy machine
STATE = "(await import('./page.js')).state"


def opened(browser, address, width=1280, threads=1, **options):
    """A page that is ready, and the list of requests that it made; two threads wait for each other on busy cores."""
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked, page.errors = [], []
    context.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{address}?threads={threads}")
    page.wait_for_selector("body[data-ready]")
    return page


def evaluate(page, expression):
    return page.evaluate(f"(async () => {expression})()")


def shown(page):
    """How many predictions were drawn so far."""
    return evaluate(page, f"{STATE}.shown")


def wait_for_answer(page, before):
    limit = time.monotonic() + PATIENCE / 1000
    while evaluate(page, f"{STATE}.shown") <= before:
        assert time.monotonic() < limit, page.locator("#status").inner_text()
        page.wait_for_timeout(50)


def predict_example(page, number):
    before = shown(page)
    page.locator("#examples button").nth(number).click()
    wait_for_answer(page, before)


def upload(page, path):
    before = shown(page)
    page.locator("#image-file").set_input_files(path)
    wait_for_answer(page, before)


def disparity(page):
    values = evaluate(page, f"Array.from((await import('./files.js')).fullDisparity({STATE}.answer))")
    height, width = evaluate(page, f"[{STATE}.answer.bitmap.height, {STATE}.answer.bitmap.width]")
    return np.array(values, np.float32).reshape(height, width)


def download(page, button):
    with page.expect_download() as found:
        page.locator(button).click()
    return found.value.suggested_filename, found.value.path().read_bytes()
