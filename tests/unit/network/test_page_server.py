"""The page's server over real HTTP: who is let in, what is refused, what is bounded. No node runs behind it."""

import asyncio
import io
import re

import aiohttp
import pytest

from network.cluster import ports
from network.page import server as page_server
from network.page.guard import TOKEN_HEADER
from network.page.server import PageServer


@pytest.fixture
async def page(make_run):
    """(base address, token, session) of a page whose two nodes are stopped."""
    run = make_run("shown")
    port = ports.pick_free("127.0.0.1", 1)[0]
    server = PageServer(run, port)
    await server.start()
    async with aiohttp.ClientSession() as session:
        base = f"http://127.0.0.1:{port}"
        async with session.get(base + "/") as response:
            token = re.search(r'name="evmesh-token" content="([^"]+)"', await response.text())[1]
        yield base, token, session
    await server.stop()


async def get(session, url, **headers):
    async with session.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers


async def post(session, url, body, **headers):
    async with session.post(url, data=body, headers=headers) as response:
        return response.status, await response.json()


async def test_the_page_comes_with_all_its_files_and_forbids_everything_else(page):
    base, _, session = page
    status, text, headers = await get(session, base + "/")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" not in text
    assert "{{" not in text
    files = re.findall(r'(?:href|src)="(/[a-z]+\.[a-z]+)"', text)
    assert len(files) > 8
    for path in files:
        status, content, headers = await get(session, base + path)
        assert status == 200, path
        assert headers["Content-Type"].startswith(("text/", "image/svg+xml"))
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"):
            assert way not in content.replace("http://www.w3.org/2000/svg", ""), f"{way} in {path}"
    for path in ("/../server.py", "/static/main.js", "/index.html", "/%2e%2e/guard.py", "/api/secrets"):
        assert (await get(session, base + path))[0] == 404, path


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "127.0.0.1:1", "localhost", ""])
async def test_a_rebound_name_gets_nothing(page, host):
    base, token, session = page
    for path in ("/", "/main.js", "/api/snapshot", "/api/explore/blocks"):
        status, text, _ = await get(session, base + path, Host=host)
        assert status == 403
        assert token not in text


async def test_localhost_is_a_name_of_this_page(page):
    base, _, session = page
    port = base.rpartition(":")[2]
    assert (await get(session, base + "/api/snapshot", Host=f"localhost:{port}"))[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "rubbish"])
async def test_other_sites_may_ask_nothing(page, site):
    base, _, session = page
    for path in ("/api/snapshot", "/api/stream", "/main.js"):
        assert (await get(session, base + path, **{"Sec-Fetch-Site": site}))[0] == 403
    assert (await get(session, base + "/", **{"Sec-Fetch-Site": site}))[0] == 200  # a link to the page is fine


async def test_a_deed_needs_everything_that_a_button_sends(page):
    base, token, session = page
    good = {"Content-Type": "application/json", "Origin": base, TOKEN_HEADER: token, "Sec-Fetch-Site": "same-origin"}
    body = b'{"do": "heal"}'
    assert await post(session, base + "/api/deed", body, **good) == (200, {"text": "there was nothing to heal"})
    for name, value in (
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1:1"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Site", "same-site"),
        (TOKEN_HEADER, token[:-1]),
        (TOKEN_HEADER, ""),
    ):
        status, told = await post(session, base + "/api/deed", body, **{**good, name: value})
        assert status == 403, name
        assert told["error"]
    status, _ = await post(session, base + "/api/deed?token=" + token, body, **{"Content-Type": "application/json"})
    assert status == 403
    assert (await get(session, base + "/api/deed"))[0] == 405


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "JSON"),
        (b"[]", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"do": "explode"}', 400, "no deed"),
        (b'{"do": "kill"}', 400, "name of a node"),
        (b'{"do": "kill", "node": ["n0"]}', 400, "name of a node"),
        (b'{"do": "kill", "node": "../n0"}', 400, "no node"),
        (b'{"do": "kill", "node": "n0"}', 409, "not running"),
        (b'{"do": "kill", "node": "n0", "hard": true}', 400, "hard"),
        (b'{"do": "heal", "all": 1}', 400, "true or false"),
        (b'{"do": "partition", "groups": ["n0", "n1"]}', 400, "lists"),
        (b'{"do": "partition", "groups": [["n0"], ["n0", "n1"]]}', 409, "directly"),
        (b'{"do": "byz", "node": "n0", "kind": "fib"}', 400, "no lie"),
        (b'{"do": "link", "source": "n0", "target": "n1", "loss": 2}', 409, "directly"),
        (b'{"do": "reorg", "depth": -1}', 400, "0 to"),
        (b'{"do": "reorg", "depth": true}', 400, "0 to"),
    ],
)
async def test_what_a_deed_refuses(page, body, status, said):
    base, token, session = page
    headers = {"Content-Type": "application/json", TOKEN_HEADER: token}
    got, told = await post(session, base + "/api/deed", body, **headers)
    assert (got, said in told["error"] + told["hint"]) == (status, True), told


async def test_a_body_has_a_bound(page):
    base, token, session = page
    headers = {"Content-Type": "application/json", TOKEN_HEADER: token}
    body = io.BytesIO(b'{"do": "' + b"x" * page_server.BODY_BYTES_MAX + b'"}')
    assert (await post(session, base + "/api/deed", body, **headers))[0] == 413


async def test_a_snapshot_of_a_network_that_stands(page):
    base, _, session = page
    async with session.get(base + "/api/snapshot") as response:
        snapshot = await response.json()
    assert snapshot["headline"]["tone"] == "bad"
    assert [(node["name"], node["state"]) for node in snapshot["nodes"]] == [("n0", "stopped"), ("n1", "stopped")]
    assert snapshot["tree"]["blocks"] == []
    assert "mnemonic" not in str(snapshot)


async def test_streams_are_counted_and_given_back(page, monkeypatch):
    monkeypatch.setattr(page_server, "STREAMS_MAX", 2)
    base, _, session = page
    streams = [await session.get(base + "/api/stream") for _ in range(2)]
    for stream in streams:
        line = await asyncio.wait_for(stream.content.readline(), 10)
        assert line.startswith(b'data: {"network"')
    assert (await get(session, base + "/api/stream"))[0] == 503
    for stream in streams:
        stream.close()
    for _ in range(100):
        await asyncio.sleep(0.05)
        async with session.get(base + "/api/stream") as response:
            if response.status == 200:
                return
    raise AssertionError("the places of closed streams were not given back")


@pytest.mark.parametrize(
    ("path", "status"),
    [("block/0xzz", 409), ("search/12", 409), ("blocks?before=x", 409), ("rubbish/1", 409)],
)
async def test_questions_without_a_node_or_a_meaning(page, path, status):
    base, _, session = page
    assert (await get(session, f"{base}/api/explore/{path}"))[0] == status
    status, told, _ = await get(session, f"{base}/api/explore/blocks?node=n7")
    assert (status, "there is no node" in told) == (200, True)  # a search that misses is no mistake of anybody's


async def test_an_artifact_is_checked_before_it_is_remembered(page, state_home):
    base, token, session = page
    headers = {"Content-Type": "application/json", TOKEN_HEADER: token}
    address = "0x" + "5f" * 20
    bad = '{"type": "function", "name": "f", "inputs": [{"type": "tuple", "components": 7}]}'
    for body in (
        "{}",
        f'{{"address": "{address}"}}',
        f'{{"address": "{address}", "artifact": {{"abi": 7}}}}',
        '{"address": "0x12", "artifact": {"abi": []}}',
        f'{{"address": "{address}", "artifact": {{"abi": [], "contractName": "<b>x</b>"}}}}',
        f'{{"address": "{address}", "artifact": {{"abi": [{bad}]}}}}',
    ):
        status, told = await post(session, base + "/api/artifact", body.encode(), **headers)
        assert status == 400, told
    body = f'{{"address": "{address}", "artifact": {{"abi": [], "contractName": "Mine", "storageLayout": {{}}}}}}'
    status, told = await post(session, base + "/api/artifact", body.encode(), **headers)
    assert (status, told["name"], told["layout"]) == (200, "Mine", True)
    assert '"Mine"' in (state_home / "shown" / "contracts.json").read_text()
