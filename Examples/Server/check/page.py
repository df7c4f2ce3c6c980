# SPDX-License-Identifier: Apache-2.0
"""The page, in a headless Chromium: somebody types, waits, stops, and begins anew."""
from playwright.sync_api import sync_playwright
from support import check

# In the page, since a small model is done before a click from here arrives.
STOP_AT_THIRD_ANSWER = """() => new MutationObserver((_, observer) => {
    const text = document.querySelectorAll(".message.assistant .text")[2];
    if (!text || !text.textContent) return;
    observer.disconnect();
    document.getElementById("stop").click();
}).observe(document.body, { childList: true, subtree: true, characterData: true })"""


def written(page, number):
    """Waits until so many answers are complete."""
    page.locator(".message.assistant[data-done]").nth(number - 1).wait_for(timeout=300_000)


def check_page(server, chromium, folder):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme, width, height in [("light", 1000, 700), ("dark", 390, 760)]:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            problems, elsewhere = [], []
            page.on("pageerror", lambda problem: problems.append(problem))
            page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith(server.url) else 0)
            page.goto(server.url + "/")
            page.locator("#model:not(:empty)").wait_for()
            check("the page names the model", page.inner_text("#model") == server.model)
            talk(page)
            page.screenshot(path=f"{folder}/page-{scheme}.png")
            check("no errors in the page", not problems, problems)
            check("the page loads nothing from elsewhere", not elsewhere, elsewhere)
            page.click("#clear")
            check("a new conversation is empty", page.locator(".message").count() == 0)
            page.close()
        browser.close()


def talk(page):
    page.click("summary")
    page.fill("#tokens", "40")
    page.fill("#seed", "3")
    page.fill("#system", "A tale of the forest. ")
    page.click("summary")
    page.fill("#input", "Once upon a time <b>there</b> was a")
    page.keyboard.press("Enter")
    written(page, 1)
    check("an answer is written", len(page.inner_text(".message.assistant .text")) > 20)
    check("it says what it took", "40 tokens" in page.inner_text(".message.assistant .note"))
    check("what people write is text", page.locator(".message b").count() == 0)
    page.fill("#input", "And then")
    page.click("#send")
    written(page, 2)
    # Stopped in the middle.
    page.click("summary")
    page.fill("#tokens", "400")
    page.click("summary")
    page.fill("#input", "The wolf")
    page.evaluate(STOP_AT_THIRD_ANSWER)
    page.click("#send")
    written(page, 3)
    check("it says that it was stopped", page.locator(".message.assistant .note").nth(2).inner_text() == "stopped")
