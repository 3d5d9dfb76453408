# SPDX-License-Identifier: MIT
"""User agents and patterns for measurements, made from templates: the same ones each time, none of a real person."""

import random
import re

BOT_FIRST = ["Acorn", "Amber", "Anchor", "Apex", "Arbor", "Atlas", "Aura", "Beacon", "Birch", "Bolt", "Brisk", "Cedar", "Cinder", "Cobalt",
             "Comet", "Coral", "Crest", "Dapple", "Delta", "Dusk", "Ember", "Fable", "Falcon", "Fern", "Flint", "Gale", "Garnet", "Glade",
             "Harbor", "Hazel", "Indigo", "Ivory", "Jasper", "Juniper", "Kestrel", "Lagoon", "Larch", "Lumen", "Maple", "Meadow", "Nimbus",
             "Oak", "Onyx", "Opal", "Orchid", "Pebble", "Pine", "Quartz", "Raven", "Reef"]
BOT_LAST = ["Bot", "Crawler", "Spider", "Fetcher", "Scraper", "Indexer", "Harvest", "Probe", "Scan", "Link"]


BOT_MIDDLE = ["", "Web", "Site", "Page", "Net", "Data", "Text", "Image", "Feed", "Link"]


def names(count=500):
    """Names of bots; the first 500 are the same whatever the count."""
    return [first + middle + last for middle in BOT_MIDDLE for first in BOT_FIRST for last in BOT_LAST][:count]


def patterns(count=500):
    """What people keep in lists of bots, nine in ten as texts to look for, one in ten as regular expressions; all without case:
    (texts, expressions)."""
    texts = [lambda n: n, lambda n: n + "/", lambda n: f"compatible; {n}"]
    expressions = [lambda n: rf"\b{n}\b", lambda n: rf"{n}[/ -]?[0-9]", lambda n: rf"{n[:-3]}({n[-3:]}|[_-]{n[-3:]})"]
    found = ([], [])
    for i, name in enumerate(names(count)):
        shapes = expressions if i % 10 == 9 else texts
        found[i % 10 == 9].append(shapes[i // 10 % len(shapes)](name))
    return found


def grouped(count=500, size=25):
    """The same patterns as a few expressions, each with many alternatives. nginx and HAProxy try one expression after the other: so they
    need half the time, or less, that they need with one for each pattern."""
    texts, expressions = patterns(count)
    single = [re.escape(text) for text in texts] + expressions
    return ["(?:" + "|".join(single[i:i + size]) + ")" for i in range(0, len(single), size)]


def browsers(count=20_000, seed=7):
    """Different user agents of browsers, by what browsers look like."""
    chance, made = random.Random(seed), {}
    android = [f"{maker}-{letter}{number}" for maker in ("SM", "CPH", "RMX", "M2", "XT", "Pixel") for letter in "AFGMSX" for number in range(100, 999, 7)]
    while len(made) < count:
        chrome = f"{chance.randint(110, 142)}.0.{chance.choice([0, chance.randint(5000, 7400)])}.{chance.choice([0, chance.randint(30, 240)])}"
        firefox, ios = chance.randint(110, 144), f"{chance.randint(15, 18)}_{chance.randint(0, 7)}"
        template = chance.random()
        if template < 0.35:
            agent = (f"Mozilla/5.0 (Linux; Android {chance.randint(9, 16)}; {chance.choice(android)}) AppleWebKit/537.36 (KHTML, like Gecko) "
                     f"Chrome/{chrome} Mobile Safari/537.36")
        elif template < 0.6:
            agent = (f"Mozilla/5.0 (iPhone; CPU iPhone OS {ios}{chance.choice(['', '_1', '_2'])} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
                     f"Version/{ios.replace('_', '.')} Mobile/{chance.randint(15, 22)}{chance.choice('ABCDEFGH')}{chance.randint(50, 399)} Safari/604.1")
        elif template < 0.8:
            agent = (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome} Safari/537.36"
                     + chance.choice(["", f" Edg/{chrome}", f" OPR/{chance.randint(90, 120)}.0.0.{chance.randint(0, 99)}"]))
        elif template < 0.9:
            system = chance.choice(["Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "X11; Ubuntu; Linux x86_64",
                                    f"Macintosh; Intel Mac OS X 10.{chance.randint(13, 15)}"])
            agent = f"Mozilla/5.0 ({system}; rv:{firefox}.{chance.randint(0, 9)}) Gecko/20100101 Firefox/{firefox}.{chance.randint(0, 9)}"
        else:
            agent = (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_{chance.randint(0, 7)}) AppleWebKit/{chance.randint(600, 619)}.{chance.randint(1, 3)}."
                     f"{chance.randint(1, 40)} (KHTML, like Gecko) Version/{chance.randint(14, 18)}.{chance.randint(0, 6)} Safari/605.1.15")
        made[agent] = None
    return list(made)


def bots(count=20_000, seed=8):
    """Different user agents of which each meets one of the 500 patterns."""
    chance, made, known = random.Random(seed), {}, names()
    while len(made) < count:
        name = chance.choice(known)
        made[f"Mozilla/5.0 (compatible; {name}/{chance.randint(1, 9)}.{chance.randint(0, 99)}; +https://{name.lower()}.example/{chance.randint(1, 999)})"] = None
    return list(made)
