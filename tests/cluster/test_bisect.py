"""A node with a mistake in its EVM stops before the block that shows it, and bisect names the instruction."""

from network.cluster.readiness import wait_until


def test_a_seeded_bug_is_found_and_gone_after_a_plain_restart(shell):
    cluster = shell.up("--name", "buggy")
    try:
        code, _, err = cluster.run("restart", "n3", "--mutate", "sstore-gas-off-by")
        assert code == 2
        assert "sstore-gas-off-by-one" in err
        cluster.json("restart", "n3", "--mutate", "sstore-gas-off-by-one")
        cluster.json("deploy", "examples/Counter.json", "--from", "0")
        done = cluster.json("call", "Counter.increment", "--from", "0", "--wait", "included")
        wait_until(lambda: cluster.clients[0].block_number() > cluster.clients[3].block_number() + 2, 20, "n3 to stop")
        code, out, err = cluster.run("bisect", "n0", "n3")
        assert code == 3, err
        assert f"{done['hash']}" in out
        for words in ("instruction  SSTORE", "gasCost: n0 20000, n3 20001", "→ different execution"):
            assert words in out, out
        found = cluster.shell.run("bisect", "n3", "n0", "--network", cluster.name, "--json")
        assert found[0] == 3
        assert '"opcode": "SSTORE"' in found[1]
        cluster.json("restart", "n3")
        code, out, _ = cluster.run("bisect", "n0", "n3")
        assert (code, "no difference" in out) == (0, True)
    finally:
        cluster.close()
        shell.run("down", cluster.name, "--remove", "--timeout", "3")
