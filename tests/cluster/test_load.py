"""``evmesh load`` on a real network, with a node killed meanwhile."""

import xml.etree.ElementTree as ElementTree


def test_a_mixed_load_survives_a_crash(own_cluster, shell):
    plan = shell.state / "plan.toml"
    plan.write_text('[[faults]]\nat_ms = 500\nkind = "crash"\ntargets = ["n3"]\nuntil_ms = 1500\n')
    chart = shell.state / "load.svg"
    words = ("transfers", "token", "contention", "deploys", "--rate", "40", "--for", "3s", "--senders", "8")
    report = own_cluster.json("load", *words, "--plan", str(plan), "--plot", str(chart))
    assert report["clean"]
    assert (report["sent"], report["final"], report["lost"], report["failed"]) == (120, 120, 0, 0)
    assert report["included_ms"]["count"] == 120
    assert {node["name"]: node["submitted"] for node in report["nodes"]} == dict.fromkeys(("n0", "n1", "n2", "n3"), 30)
    assert "crash n3" in chart.read_text()
    ElementTree.parse(chart)


def test_what_cannot_be_is_refused(own_cluster):
    code, _, err = own_cluster.run("load", "jokes")
    assert (code, "no load called 'jokes'" in err) == (2, True)
    code, _, err = own_cluster.run("load", "--plot", "a.gif")
    assert (code, "SVG" in err) == (2, True)
