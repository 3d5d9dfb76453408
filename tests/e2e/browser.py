# SPDX-License-Identifier: MIT
"""Chromium without a window, driven through its own driver."""

import shutil
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness import PATIENCE, eventually


class Browser:
    """One Chromium with a profile of its own (so: no cookies yet)."""

    def __init__(self, javascript=True, user_agent=None, more=()):
        self.directory = tempfile.mkdtemp(prefix="spillway-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.directory}", *more):
            options.add_argument(argument)
        if user_agent:
            options.add_argument(f"--user-agent={user_agent}")
        if not javascript:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.driver.set_page_load_timeout(PATIENCE * 3)

    def open(self, url):
        self.driver.get(url)

    def title(self):
        return self.driver.title

    def source(self):
        return self.driver.page_source

    def url(self):
        return self.driver.current_url

    def wait_for_title(self, title, timeout=60):
        return eventually(lambda: self.driver.title == title, f"the page {title!r} (now {self.driver.title!r})", timeout)

    def run(self, script, *args):
        return self.driver.execute_async_script(script, *args)

    def cookies(self):
        return self.driver.get_cookies()

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.directory, ignore_errors=True)
