"""The cluster page in a real browser, over a real network: what it shows, what its buttons do, what it never runs."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from network.abi import encode, selector
from network.cluster.readiness import wait_until
from network.cluster.run_directory import RunDirectory
from network.load.contracts import bundled
from network.wallet import Fees, build, wait_included
from node.crypto.hashes import keccak256
from node.primitives.scalars import Address

CHROMIUM = os.environ.get("EVMESH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 60_000
FEES = Fees(10**11, 10**9)

EVIL = "<img src=x onerror=\"window.pwned='{}'\"><script>window.pwned='{}'</script>"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: browser)")
    if not CHROMIUM:
        pytest.skip("there is no Chromium (EVMESH_CHROMIUM names one)")
    with playwright.sync_playwright() as running:
        one = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield one
        one.close()


@pytest.fixture(scope="module")
def network(shell):
    """Four nodes under proof of stake, with a page."""
    one = shell.up("--consensus", "pos", block_time=1)
    yield one
    one.close()


class Seen:
    """A tab, and everything that went wrong in it or left this machine."""

    def __init__(self, browser, base, **context):
        self.base = base
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.trouble, self.requests = [], []
        self.page.on("console", lambda message: self.trouble.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self.trouble.append("dialog: " + dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, route="#/"):
        self.page.goto(f"{self.base}/{route}")
        return self.page

    def headline(self, text):
        self.page.locator("#headline-title", has_text=text).wait_for()

    def check(self):
        """Nothing was complained of, nothing was asked of anybody else."""
        self.context.close()
        assert self.trouble == []
        assert [url for url in self.requests if not url.startswith(self.base + "/")] == []


@pytest.fixture
def seen(browser, network):
    """A tab on the network's page."""
    opened = []

    def see(**context):
        opened.append(Seen(browser, network.started["page"], **context))
        return opened[-1]

    yield see
    for one in opened:
        one.context.close()


class Buttons:
    """The page's server, asked and told as the page itself does it."""

    def __init__(self, base):
        self.base = base
        page = urllib.request.urlopen(base + "/", timeout=20).read().decode()
        self._token = re.search(r'name="evmesh-token" content="([^"]+)"', page)[1]

    def ask(self, path):
        return json.load(urllib.request.urlopen(f"{self.base}/api/{path}", timeout=60))

    def do(self, **deed):
        headers = {"Content-Type": "application/json", "X-Evmesh-Token": self._token}
        request = urllib.request.Request(self.base + "/api/deed", json.dumps(deed).encode(), headers)
        return json.load(urllib.request.urlopen(request, timeout=110))["text"]

    def node(self, name):
        return next(one for one in self.ask("snapshot")["nodes"] if one["name"] == name)

    def wait(self, condition, what):
        wait_until(condition, 60, what)


def test_every_button_does_what_its_command_does(network):
    page = Buttons(network.started["page"])
    page.wait(lambda: page.ask("snapshot")["headline"]["title"] == "All 4 nodes agree", "agreement")
    assert page.do(do="pause", node="n1").startswith("n1 paused")
    page.wait(lambda: page.node("n1")["state"] == "paused", "n1 to stand still")
    assert page.do(do="resume", node="n1").startswith("n1 resumed")
    page.wait(lambda: page.node("n1")["state"] == "running", "n1 to answer")
    assert page.do(do="link", source="n0", target="n2", delay_ms=80, loss=0.05, one_way=True).startswith("n0 → n2")
    assert page.ask("snapshot")["links"]["spoiled"] == [
        {"source": "n0", "target": "n2", "delay_ms": 80.0, "loss": 0.05}
    ]
    assert page.do(do="heal").startswith("healed: delay 80 ms")
    assert page.do(do="byz", node="n2", kind="silent") == "n2 lies: silent-voter"
    assert page.node("n2")["lies"] is True
    assert page.do(do="byz", node="n2", kind="honest") == "n2 is honest again"
    page.wait(lambda: page.ask("snapshot")["headline"]["title"] == "All 4 nodes agree", "agreement again")
    before = page.ask("snapshot")["tree"]["finalized"]
    page.wait(lambda: page.ask("snapshot")["tree"]["finalized"] > before + 2, "finality")
    assert page.do(do="reorg", depth=1).startswith("reorg on n")
    with pytest.raises(urllib.error.HTTPError) as refused:
        page.do(do="reorg", depth=30)
    assert "could be replaced" in json.load(refused.value)["error"]


def test_a_transaction_that_fails_deep_inside_is_explained(network):
    """A call tree with its reason, of a contract that nobody named but by its code."""
    page = Buttons(network.started["page"])
    client, sender = network.clients[0], network.accounts[6]
    token = bundled("DemoToken")
    nonce = client.nonce(sender.address)

    def send(to, data):
        nonlocal nonce
        raw = build(sender, network.chain_id, nonce, FEES, 2_000_000, to, 0, data=data).encode()
        nonce += 1
        return wait_included(client, client.send_raw(raw), 30).receipt

    created = send(None, token.creation_data([1_000]))
    address = created["contractAddress"]
    receiver = network.accounts[7].checksummed
    target = Address(bytes.fromhex(address[2:]))
    paid = send(target, token.function("transfer").call_data([receiver, 400]))
    failed = send(target, token.function("transfer").call_data([receiver, 601]))
    told = page.ask(f"explore/tx/{failed['transactionHash']}")
    reason = "ERC20InsufficientBalance(sender=" + sender.checksummed + ", balance=600, needed=601)"
    assert (told["receipt"]["status"], told["calls"][0]["reason"]) == ("0x0", reason)
    assert told["to_contract"] == {"name": "DemoToken", "origin": "its code"}
    told = page.ask(f"explore/tx/{paid['transactionHash']}")
    assert told["call"]["name"] == "transfer"
    assert [one["value"] for one in told["logs"][0]["event"]["arguments"]] == [sender.checksummed, receiver, "400"]
    assert told["calls"][0]["call"]["results"][0]["value"] == "true"
    told = page.ask(f"explore/tx/{created['transactionHash']}")
    assert (told["brief"]["call"], told["brief"]["to_name"]) == ("creates a contract", "DemoToken")
    told = page.ask(f"explore/address/{address}")
    storage = {row["name"]: row["value"] for row in told["storage"]["rows"]}
    assert storage[f"_balances[{sender.checksummed}]"] == "600"
    assert storage[f"_balances[{receiver}]"] == "400"
    assert storage["_totalSupply"] == "1000"
    assert {one["hash"] for one in told["transactions"]} >= {paid["transactionHash"], failed["transactionHash"]}
    block = page.ask(f"explore/block/{int(paid['blockNumber'], 16)}?node=n3")
    assert block["node"] == "n3"
    assert "this" in block["held_by"].values()
    assert paid["transactionHash"] in [one["hash"] for one in block["transactions"]]
    listed = page.ask(f"explore/blocks?before={block['row']['number'] + 1}&count=2")
    assert [one["number"] for one in listed["blocks"]] == [block["row"]["number"], block["row"]["number"] - 1]
    assert page.ask(f"explore/search/{paid['transactionHash']}") == {"route": f"#/tx/{paid['transactionHash']}"}
    assert page.ask(f"explore/search/{address}")["route"].lower() == f"#/address/{address}"
    assert page.ask(f"explore/search/{block['row']['hash']}") == {"route": f"#/block/{block['row']['hash']}"}


def test_everything_is_there_and_nothing_leaves_the_machine(seen, network):
    one = seen()
    page = one.open()
    one.headline("All 4 nodes agree")
    page.locator("#tree .block").nth(3).wait_for()
    assert page.locator("#nodes tbody tr").count() == 4
    assert page.locator("#nodes .chip.good", has_text="running").count() == 4
    page.locator("#roots tbody tr").nth(3).wait_for()
    assert page.locator("#roots .wrong").count() == 0
    assert page.locator("#votes tbody tr").count() == 4
    assert page.locator("#links .peer").count() == 4
    assert page.locator("#links line").count() == 6
    assert page.locator("#charts .chart").count() == 4
    page.locator("#charts .column").nth(2).wait_for(state="attached")
    assert network.name in page.locator("#network").inner_text()
    one.check()


def test_a_split_is_made_seen_and_healed_by_buttons(seen):
    one = seen(color_scheme="dark")
    page = one.open()
    one.headline("All 4 nodes agree")
    page.get_by_role("button", name="Split", exact=True).click()
    page.locator("#faults .outcome", has_text="neither side can finalize").wait_for()
    one.headline("2 branches above")
    assert page.locator("#headline").get_attribute("data-tone") == "warn"
    page.locator("#roots .wrong").first.wait_for()
    assert page.locator("#links .link.cut").count() == 4
    assert page.locator("#faults .on li").count() == 1
    page.locator("#headline-details li", has_text="partition").first.wait_for()
    page.get_by_role("button", name="Heal links").click()
    one.headline("All 4 nodes agree")
    page.locator("#tree .block.lost").first.wait_for(state="attached")
    page.locator("#events li", has_text="reorganisation on").first.wait_for()
    assert page.locator("#faults .on li").count() == 0
    one.check()


def test_a_node_is_killed_and_started_by_keyboard(seen):
    one = seen()
    page = one.open()
    one.headline("All 4 nodes agree")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.get_by_label("Node", exact=True).focus()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Kill"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    one.headline("3 of 4 nodes agree")
    row = page.locator("#nodes tbody tr").nth(3)
    row.locator(".chip", has_text="stopped").wait_for()
    page.get_by_role("button", name="Restart").click()
    row.locator(".chip", has_text="running").wait_for()
    one.headline("All 4 nodes agree")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a, input, select")].filter((one) =>
             !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length)).length"""
    )
    assert nameless == 0
    one.check()


def test_a_link_gets_slow_and_a_contract_is_explored(seen, network):
    started = network.json("deploy", "Counter")
    network.json("call", "Counter.increment")
    called = network.json("call", "Counter.increment")
    one = seen()
    page = one.open()
    page.get_by_role("button", name="Set link").click()
    page.locator("#links li", has_text="200 ms later").wait_for()
    page.get_by_role("button", name="Clear").click()
    page.locator("#links li", has_text="no fault on any link").wait_for()

    page.get_by_label("Search the chain").fill("counter")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Counter", exact=True).wait_for()
    assert started["address"] in page.url
    variable = page.locator("#explorer tr", has=page.get_by_role("rowheader", name="number"))
    assert "2" in variable.locator("td").first.inner_text()
    page.get_by_role("link", name=called["hash"][:8]).first.click()
    page.get_by_role("heading", name="Call tree").wait_for()
    text = page.locator("#explorer").inner_text()
    for wanted in ("increment()", "NumberChanged", "Counter", "ok", called["hash"]):
        assert wanted in text
    page.get_by_role("link", name="place 0").click()
    page.get_by_role("heading", name="Block #").wait_for()
    assert "in the chain of n0, n1, n2, n3" in page.locator("#explorer").inner_text()
    page.get_by_label("Node that is asked").select_option("n3")
    page.locator("#explorer .mono.whole").first.wait_for()
    misses = (("0x" + "12" * 32, "no node knows"), ("9999999", "there is no block"), ("<b>", "nothing is called"))
    for text, said in misses:
        page.get_by_label("Search the chain").fill(text)
        page.keyboard.press("Enter")
        page.get_by_text(said).wait_for()
    one.check()


def _push(data):
    return bytes([0x5F + len(data)]) + data


def _shouter(payload, topic, word, ending):
    """Creation code of a contract that answers every call with a log and ``payload``, returned or reverted with."""

    def copy(size, offset):
        return _push(size.to_bytes(2, "big")) + _push(offset.to_bytes(2, "big")) + b"\x5f\x39"

    def runtime(offset):
        size = _push(len(payload).to_bytes(2, "big"))
        return copy(len(payload), offset) + _push(topic) + size + b"\x5f\xa1" + size + b"\x5f" + ending

    code = runtime(len(runtime(0))) + payload
    head = _push(word) + b"\x5f\x55"
    deploy = len(head) + len(copy(0, 0)) + 5
    return head + copy(len(code), deploy) + _push(len(code).to_bytes(2, "big")) + b"\x5f\xf3" + code


def _said(text):
    return encode(["string"], [text])


def _hostile_contracts(network):
    """Contracts whose names, fields, events, values, storage and reasons are markup. (addresses, transactions)."""
    client, sender = network.clients[0], network.accounts[5]
    run = RunDirectory(network.run_dir)
    nonce = client.nonce(sender.address)
    addresses, transactions = [], []

    def send(to, data):
        nonlocal nonce
        raw = build(sender, network.chain_id, nonce, FEES, 3_000_000, to, 0, data=data).encode()
        nonce += 1
        return wait_included(client, client.send_raw(raw), 30).receipt

    event, function = EVIL.format(*"ee"), EVIL.format(*"ff")
    string = {"name": EVIL.format(*"aa"), "type": "string", "indexed": False}
    entries = [
        {"type": "event", "name": event, "inputs": [string], "anonymous": False},
        {"type": "function", "name": function, "inputs": [], "outputs": [string], "stateMutability": "view"},
    ]
    word = b"<b>pwn</b>".ljust(31, b"\0") + b"\x14"
    layout = {
        "storage": [{"label": EVIL.format(*"ll"), "slot": "0", "offset": 0, "type": "t_string_storage"}],
        "types": {"t_string_storage": {"encoding": "bytes", "label": "string", "numberOfBytes": "32"}},
    }
    topic = keccak256(f"{event}(string)".encode())
    reason = selector("Error(string)") + _said(EVIL.format(*"rr") + "\u202e\x00gnp.exe")
    for payload, ending in ((_said(EVIL.format(*"vv")), b"\xf3"), (reason, b"\xfd")):
        receipt = send(None, _shouter(payload, topic, word, ending))
        assert receipt["status"] == "0x1"
        address = receipt["contractAddress"]
        run.add_contract(EVIL.format(*"nn") + address[-4:], address, entries, layout)
        addresses.append(address)
        data = selector(f"{function}()")
        transactions.append(send(Address(bytes.fromhex(address[2:])), data)["transactionHash"])
    return addresses, transactions


def test_nothing_that_a_contract_says_becomes_markup(seen, network):
    addresses, transactions = _hostile_contracts(network)
    one = seen()
    page = one.open()
    one.headline("agree")
    texts = {}
    for route in [*(f"#/tx/{tx}" for tx in transactions), *(f"#/address/{address}" for address in addresses)]:
        one.open(route)
        page.locator("#explorer[aria-busy]").wait_for(state="detached")
        page.get_by_role("heading", name="Overview").wait_for()
        texts[route] = page.locator("#explorer").inner_text()
        assert page.evaluate("window.pwned") is None
        assert page.locator("img").count() == 1  # the page's own
        assert page.locator("main script, main b, main svg[onload]").count() == 0
    # all of it is there to be read
    first, second, stored, _ = texts.values()
    assert all(f"window.pwned='{mark}'" in first for mark in "nefav")
    assert "window.pwned='r'" in second
    assert "\\u{202e}\\u{0}gnp.exe" in second
    assert all(f"window.pwned='{mark}'" in stored for mark in "nlv")
    assert "<b>pwn</b>" in stored
    one.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(seen, network, scheme):
    one = seen(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True, is_mobile=True)
    page = one.open()
    one.headline("agree")
    page.locator("#tree .block").nth(2).wait_for()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(int(part) for part in background[4:-1].split(",")[:3]) < 200
    assert dark == (scheme == "dark")
    for route in ("#/", "#/blocks", "#/block/1", f"#/address/{network.accounts[0].checksummed}"):
        one.open(route)
        page.locator("#explorer[aria-busy]").wait_for(state="detached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, route
    one.check()


def test_a_node_alone_is_well(shell, browser):
    alone = shell.up("--nodes", "1", "--consensus", "instant")
    one = Seen(browser, alone.started["page"])
    page = one.open()
    one.headline("The node is well")
    assert page.locator("#nodes .chip").all_inner_texts() == ["running"]
    assert page.get_by_role("button", name="Kill").count() == 1
    assert page.get_by_role("button", name="Split").count() == 0
    one.check()
    alone.close()


def test_a_network_that_ends_is_told(shell, browser):
    short_lived = shell.up()
    one = Seen(browser, short_lived.started["page"])
    one.open()
    one.headline("All 4 nodes agree")
    shell.run("down", short_lived.name, "--remove")
    one.page.locator("#offline:not([hidden])").wait_for()
    one.context.close()
    short_lived.close()
    log = Path(short_lived.run_dir)
    wait_until(lambda: not log.exists(), 10, "the directory to be gone")
