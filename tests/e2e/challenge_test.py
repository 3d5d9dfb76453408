# SPDX-License-Identifier: MIT
"""A challenge as a browser, a browser without scripts, a script of ours and an API client meet it."""

import hashlib
import html
import re
import time
import urllib.parse

from browser import Browser
from harness import Case, ask, config, connect, eventually, main

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
          "Mobile/15E148 Safari/604.1")
DOCUMENT = {"User-Agent": FIREFOX, "Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
SOLVE = "/.spillway/challenge"


def challenged(server, action="challenge", match=None, **more):
    rule = {"name": "gate", "match": match or {"path": {"prefix": "/"}}, "action": action}
    return config(server, rules=[rule], **more)


def leading_zero_bits(digest):
    number = int.from_bytes(digest, "big")
    return len(digest) * 8 - number.bit_length()


def work(ticket, bits):
    """What docs/challenge.md says a client does."""
    seal = ticket.split(".")[1]
    nonce = 0
    while leading_zero_bits(hashlib.sha256(f"{seal}.{nonce}".encode()).digest()) < bits:
        nonce += 1
    return nonce


def ticket_in(page):
    return re.search(r"([A-Za-z0-9_-]{40,}\.[A-Za-z0-9_-]{43})", html.unescape(page)).group(1)


def cookie_of(response):
    return response.get("set-cookie").split(";")[0]


class ByHand(Case):
    BITS = 8

    def setUp(self):
        self.server = self.origin(lambda request: (200, {"Content-Type": "text/html"}, b"<title>arrived</title>" + request.path.encode()))
        self.proxy = self.spillway(challenged(self.server, {"challenge": {"kind": "pow", "bits": self.BITS}}))

    def page(self, target="/shop?x=1&y=%2f", headers=None, **more):
        return ask(self.proxy.port, target=target, headers=headers or DOCUMENT, **more)

    def solve(self, ticket, nonce, headers=None, **more):
        body = urllib.parse.urlencode({"ticket": ticket, "nonce": nonce}).encode()
        return ask(self.proxy.port, "POST", SOLVE, body=body,
                   headers={**(headers or DOCUMENT), "Content-Type": "application/x-www-form-urlencoded"}, **more)

    def passed(self, headers=None, **more):
        """A pass, earned."""
        ticket = ticket_in(self.page(headers=headers, **more).text)
        return cookie_of(self.solve(ticket, work(ticket, self.BITS), headers=headers, **more))

    def test_the_page_is_small_self_contained_and_not_to_be_stored(self):
        page = self.page()
        self.assertEqual(page.status, 403)
        self.assertTrue(page.get("content-type").startswith("text/html"))
        self.assertLess(len(page.body), 12_000)
        self.assertEqual(page.get("cache-control"), "no-store")
        self.assertEqual(page.get("x-robots-tag"), "noindex")
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:|/\.spillway/|#)[^"]*"', page.text), [])
        self.assertIsNone(page.get("set-cookie"))
        self.assertEqual(self.server.requests, [])

    def test_work_earns_a_pass_and_leads_back(self):
        ticket = ticket_in(self.page().text)
        done = self.solve(ticket, work(ticket, self.BITS))
        self.assertEqual((done.status, done.get("location")), (303, "/shop?x=1&y=%2f"))
        self.assertIn("HttpOnly", done.get("set-cookie"))
        self.assertIn("SameSite=Lax", done.get("set-cookie"))
        again = self.page(headers={**DOCUMENT, "Cookie": cookie_of(done)})
        self.assertEqual((again.status, again.text[:22]), (200, "<title>arrived</title>"))

    def test_too_little_work_earns_nothing(self):
        ticket = ticket_in(self.page().text)
        nonce = next(n for n in range(1000) if leading_zero_bits(hashlib.sha256(f"{ticket.split('.')[1]}.{n}".encode()).digest()) < self.BITS)
        for wrong in (nonce, "", "x", "-1", "1" * 40, "0x10"):
            response = self.solve(ticket, wrong)
            self.assertEqual((response.status, response.get("set-cookie")), (403, None), wrong)

    def test_a_ticket_that_was_changed_earns_nothing(self):
        ticket = ticket_in(self.page().text)
        payload, seal = ticket.split(".")
        for wrong in (payload[:-2] + "AA." + seal, payload + "." + seal[:-2] + "AA", payload, "." + seal, "x.y", "A" * 5000):
            response = self.solve(wrong, 1)
            self.assertIn(response.status, (400, 403), wrong)
            self.assertIsNone(response.get("set-cookie"))

    def test_a_pass_roams_and_survives_an_update_but_not_both(self):
        newer = {**DOCUMENT, "User-Agent": FIREFOX.replace("140", "141")}
        phone = {**DOCUMENT, "User-Agent": IPHONE}
        cookie = self.passed(source="127.0.0.5")

        def status(headers, source):
            return ask(self.proxy.port, headers={**headers, "Cookie": cookie}, source=source).status

        self.assertEqual(status(DOCUMENT, "127.0.0.5"), 200)
        self.assertEqual(status(newer, "127.0.0.5"), 200)        # the browser was updated
        self.assertEqual(status(DOCUMENT, "127.7.0.5"), 200)     # the same one on another network
        self.assertEqual(status(phone, "127.0.0.5"), 200)        # another one at the same place
        self.assertEqual(status(phone, "127.7.0.5"), 403)        # another one elsewhere: a copy

    def test_a_forged_pass_is_no_pass(self):
        cookie = self.passed()
        name, value = cookie.split("=", 1)
        for wrong in ("", "x", value[:-3] + "AAA", "B" + value[1:], value + "A", value.split(".")[0]):
            self.assertEqual(self.page(headers={**DOCUMENT, "Cookie": f"{name}={wrong}"}).status, 403, wrong)
        self.assertEqual(self.page(headers={**DOCUMENT, "Cookie": f"a=b; {cookie}; c=d"}).status, 200)

    def test_a_ticket_spent_by_one_is_no_good_to_another(self):
        ticket = ticket_in(self.page(source="127.0.0.5").text)
        nonce = work(ticket, self.BITS)
        self.assertEqual(self.solve(ticket, nonce, source="127.0.0.5").status, 303)
        self.assertEqual(self.solve(ticket, nonce, source="127.0.0.5").status, 303)  # a double click
        self.assertEqual(self.solve(ticket, nonce, source="127.9.0.5").status, 403)

    def test_without_scripts_waiting_does(self):
        page = self.page().text
        match = re.search(r'<noscript>.*?http-equiv="refresh" content="(\d+);\s*url=([^"]+)"', page, re.S | re.I)
        self.assertTrue(match, page[:2000])
        url = html.unescape(match.group(2))
        early = ask(self.proxy.port, target=url, headers=DOCUMENT)
        self.assertIsNone(early.get("set-cookie"))
        began, wait = time.monotonic(), int(match.group(1))
        self.assertLessEqual(wait, 20)
        done = eventually(lambda: (lambda answer: answer if answer.status == 303 else None)(ask(self.proxy.port, target=url, headers=DOCUMENT)),
                          "the wait to be over", timeout=wait + 10, every=0.2)
        self.assertGreater(time.monotonic() - began, 0.5)
        self.assertEqual(self.page(headers={**DOCUMENT, "Cookie": cookie_of(done)}).status, 200)

    def test_scripts_and_api_clients_get_a_document_they_can_read(self):
        for headers in ({"User-Agent": "curl/8", "Accept": "*/*"}, {"User-Agent": FIREFOX, "Accept": "application/json"},
                        {"User-Agent": FIREFOX, "Accept": "*/*", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
                        {"User-Agent": FIREFOX, "Accept": "image/*", "Sec-Fetch-Dest": "image"}):
            response = ask(self.proxy.port, headers=headers)
            self.assertEqual(response.status, 403)
            self.assertTrue(response.get("content-type").startswith("application/problem+json"), response)
            self.assertEqual(response.get("spillway-mitigated"), "challenge")
            self.assertIn(SOLVE, response.get("spillway-challenge-url"))
            self.assertEqual(response.json()["status"], 403)

    def test_a_form_that_is_sent_is_not_answered_with_a_page_that_forgets_it(self):
        response = ask(self.proxy.port, "POST", "/order", body=b"a=b", headers=DOCUMENT)
        self.assertEqual(response.status, 403)
        self.assertTrue(response.get("content-type").startswith("application/problem+json"))
        self.assertEqual(self.server.requests, [])

    def test_the_way_back_never_leads_to_another_site(self):
        for target in ("//evil.example/", "/\\evil.example", "http://evil.example/x"):
            ticket = ticket_in(self.page(target=target).text)
            back = self.solve(ticket, work(ticket, self.BITS)).get("location")
            self.assertTrue(back.startswith("/") and not back.startswith(("//", "/\\")), (target, back))

    def test_metrics_tell(self):
        self.passed()
        self.solve("x.y", 1)
        self.assertEqual(self.proxy.metric("spillway_challenge_issued_total"), 1)
        self.assertEqual(self.proxy.metric("spillway_challenge_passed_total"), 1)
        self.assertEqual(self.proxy.metric("spillway_challenge_failed_total"), 1)


class Rules(Case):
    def setUp(self):
        self.server = self.origin()

    def test_a_pass_for_more_is_good_for_less_but_not_the_other_way(self):
        proxy = self.spillway(config(self.server, rules=[
            {"name": "low", "match": {"path": "/low"}, "action": {"challenge": {"kind": "pow", "bits": 4}}},
            {"name": "high", "match": {"path": "/high"}, "action": {"challenge": {"kind": "pow", "bits": 8}}}]))

        def earn(path, bits):
            ticket = ticket_in(ask(proxy.port, target=path, headers=DOCUMENT).text)
            body = f"ticket={ticket}&nonce={work(ticket, bits)}".encode()
            return cookie_of(ask(proxy.port, "POST", SOLVE, body=body, headers=DOCUMENT))

        low, high = earn("/low", 4), earn("/high", 8)
        self.assertEqual(ask(proxy.port, target="/low", headers={**DOCUMENT, "Cookie": high}).status, 200)
        self.assertEqual(ask(proxy.port, target="/high", headers={**DOCUMENT, "Cookie": low}).status, 403)

    def test_rules_after_a_passed_challenge_still_hold(self):
        proxy = self.spillway(config(self.server, rules=[
            {"name": "gate", "action": {"challenge": {"kind": "pow", "bits": 1}}},
            {"name": "no", "match": {"path": "/no"}, "action": "deny"}]))
        ticket = ticket_in(ask(proxy.port, target="/no", headers=DOCUMENT).text)
        cookie = cookie_of(ask(proxy.port, "POST", SOLVE, body=f"ticket={ticket}&nonce={work(ticket, 1)}".encode(), headers=DOCUMENT))
        response = ask(proxy.port, target="/no", headers={**DOCUMENT, "Cookie": cookie})
        self.assertEqual((response.status, response.get("spillway-mitigated")), (403, None))

    def test_cookie_kind_goes_round_once(self):
        proxy = self.spillway(challenged(self.server, {"challenge": {"kind": "cookie"}}))
        first = ask(proxy.port, target="/page", headers=DOCUMENT)
        self.assertEqual(first.status, 307)
        cookie = cookie_of(first)
        second = ask(proxy.port, target=first.get("location"), headers={**DOCUMENT, "Cookie": cookie})
        self.assertEqual((second.status, second.get("location")), (303, "/page"))
        self.assertEqual(ask(proxy.port, target="/page", headers={**DOCUMENT, "Cookie": cookie}).status, 200)
        lost = ask(proxy.port, target=first.get("location"), headers=DOCUMENT)
        self.assertEqual(lost.status, 403)  # told, not sent round for ever

    def test_a_key_file_keeps_passes_over_a_restart(self):
        settings = challenged(self.server, {"challenge": {"kind": "pow", "bits": 1}}, challenge={"key_file": "key"})
        cookies = []
        for _ in range(2):
            proxy = self.spillway(settings, files={"key": b"k" * 40})
            if not cookies:
                ticket = ticket_in(ask(proxy.port, headers=DOCUMENT).text)
                cookies.append(cookie_of(ask(proxy.port, "POST", SOLVE, body=f"ticket={ticket}&nonce={work(ticket, 1)}".encode(), headers=DOCUMENT)))
            self.assertEqual(ask(proxy.port, headers={**DOCUMENT, "Cookie": cookies[0]}).status, 200)

    def test_a_key_made_at_start_is_said_to_be_so(self):
        proxy = self.spillway(challenged(self.server))
        proxy.log.wait(r"(?i)key.*made|made.*key")

    def test_passes_survive_a_reload_without_a_key_file(self):
        settings = challenged(self.server, {"challenge": {"kind": "pow", "bits": 1}})
        proxy = self.spillway(settings)
        ticket = ticket_in(ask(proxy.port, headers=DOCUMENT).text)
        cookie = cookie_of(ask(proxy.port, "POST", SOLVE, body=f"ticket={ticket}&nonce={work(ticket, 1)}".encode(), headers=DOCUMENT))
        proxy.must_reload()
        self.assertEqual(ask(proxy.port, headers={**DOCUMENT, "Cookie": cookie}).status, 200)

    def test_a_body_on_the_way_to_solving_is_bounded(self):
        proxy = self.spillway(challenged(self.server))
        with connect(proxy.port) as client:
            client.send(f"POST {SOLVE} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            try:
                client.send(b"ticket=" + b"x" * 100_000)
            except ConnectionError:
                pass
            self.assertEqual(client.read_response().status, 413)

    def test_a_client_that_waits_for_100_may_send_its_solution(self):
        proxy = self.spillway(challenged(self.server, clients={"timeouts": {"body": "1s"}}))
        start = f"POST {SOLVE} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n"
        with connect(proxy.port) as client:
            client.send(start + "Content-Length: 8\r\n\r\n")
            self.assertEqual(client.read_head().status, 100)
            client.send("ticket=x")
            response = client.read_response()
            self.assertEqual((response.interim, response.status), ([], ask(proxy.port, "POST", SOLVE, body=b"ticket=x").status))
        with connect(proxy.port) as client:  # one that sends more than a solution has need not even begin
            client.send(start + "Content-Length: 1000000\r\n\r\n")
            response = client.read_response()
            self.assertEqual((response.interim, response.status), ([], 413))

    def test_the_app_has_no_part_in_our_own_address(self):
        proxy = self.spillway(config(self.server))
        self.assertIn(ask(proxy.port, target=SOLVE).status, (400, 403, 404))
        self.assertEqual(self.server.requests, [])


class Chromium(Case):
    PAGE = b"<!doctype html><title>arrived</title><h1>The shop</h1>"

    def setUp(self):
        self.server = self.origin(lambda request: (200, {"Content-Type": "text/html"}, self.PAGE) if not request.path.startswith("/favicon")
                                  else (404, {}, b""))
        # The icon that a browser asks for by itself is no part of the test.
        self.proxy = self.spillway(config(self.server, clients={"trusted_proxies": []}, rules=[
            {"name": "icon", "match": {"path": "/favicon.ico"}, "action": {"respond": {"status": 404}}},
            {"name": "gate", "action": {"challenge": {"kind": "pow", "bits": 12}}}]))
        self.url = f"http://127.0.0.1:{self.proxy.port}/shop?item=1"

    def test_it_solves_arrives_where_it_wanted_and_is_not_asked_again(self):
        browser = self.keep(Browser())
        browser.open(self.url)
        browser.wait_for_title("arrived")
        self.assertEqual(browser.url(), self.url)
        issued = self.proxy.metric("spillway_challenge_issued_total")
        for path in ("/other", "/shop?item=2"):
            browser.open(f"http://127.0.0.1:{self.proxy.port}{path}")
            self.assertEqual(browser.title(), "arrived")
        self.assertEqual(self.proxy.metric("spillway_challenge_issued_total"), issued)

        # Its cookie, copied to another browser at another place.
        cookie = "; ".join(f"{entry['name']}={entry['value']}" for entry in browser.cookies())
        copied = ask(self.proxy.port, target="/shop", headers={**DOCUMENT, "User-Agent": IPHONE, "Cookie": cookie}, source="127.77.0.1")
        self.assertEqual(copied.status, 403)

    def test_it_arrives_without_scripts_too(self):
        browser = self.keep(Browser(javascript=False))
        browser.open(self.url)
        browser.wait_for_title("arrived")
        self.assertEqual(browser.url(), self.url)

    def test_a_script_of_a_page_learns_that_it_is_challenged(self):
        browser = self.keep(Browser())
        browser.open(self.url)
        browser.wait_for_title("arrived")
        browser.driver.delete_all_cookies()
        seen = browser.run("const done = arguments[0]; fetch('/api/cart').then(r => done([r.status, r.headers.get('Spillway-Mitigated'), "
                           "r.headers.get('Content-Type')]))")
        self.assertEqual(seen[:2], [403, "challenge"])
        self.assertTrue(seen[2].startswith("application/problem+json"))


if __name__ == "__main__":
    main()
