"""``up``: the command's options. The work is in start.py, loaded while the fork server already warms up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from network.cli.group import json_option
from network.cli.output import Output
from network.cluster.warm_server import WarmServer


@click.command(
    epilog="""\b
Examples:
  evmesh up                               four nodes on 8545..8548, until Ctrl-C
  evmesh up -d --nodes 7 --block-time 0.5 seven nodes, in the background
  evmesh up --port 0 --json -d            free ports, told as JSON
  evmesh up --fund 0x70997970C51812dc3A010C7d01b50e0d17dc79C8:500
  evmesh up --genesis geth-genesis.json   start from a geth genesis file
  evmesh up --resume                      continue the latest network
""",
)
@click.option("--nodes", type=int, envvar="EVMESH_NODES", help="How many nodes (default 4).")
@click.option("--block-time", type=float, envvar="EVMESH_BLOCK_TIME", help="Seconds between blocks (default 1).")
@click.option("-d", "--detach", is_flag=True, help="Return once the network is ready; stop it with evmesh down.")
@click.option("--name", envvar="EVMESH_NAME", help="Name of the network (default: two words by chance).")
@click.option("--port", type=int, envvar="EVMESH_PORT", help="JSON-RPC of node i: port + i (default 8545; 0: free).")
@click.option("--p2p-port", type=int, envvar="EVMESH_P2P_PORT", help="Peers of node i: port + i (default 30303).")
@click.option("--page-port", type=int, envvar="EVMESH_PAGE_PORT", help="The cluster page (default 8600; 0: free).")
@click.option("--no-page", is_flag=True, envvar="EVMESH_NO_PAGE", help="No page for browsers.")
@click.option("--chain-id", type=int, envvar="EVMESH_CHAIN_ID", help="Chain id (default 31337).")
@click.option("--accounts", type=int, envvar="EVMESH_ACCOUNTS", help="How many funded accounts (default 10).")
@click.option("--balance", envvar="EVMESH_BALANCE", help="Ether of each account (default 10000).")
@click.option("--mnemonic", envvar="EVMESH_MNEMONIC", help="BIP-39 words that the accounts come from.")
@click.option("--fund", multiple=True, metavar="ADDR:ETH", help="Fund one more address; repeat for several.")
@click.option("--genesis", type=click.Path(path_type=Path), help="A geth genesis.json to start from.")
@click.option("--consensus", envvar="EVMESH_CONSENSUS", help="pos (default), bft, or instant (one node).")
@click.option("--slots-per-epoch", type=int, envvar="EVMESH_SLOTS_PER_EPOCH", help="Under pos (default 2).")
@click.option("--dev", is_flag=True, envvar="EVMESH_DEV", help="State cheats: anvil_setBalance, evm_snapshot, ….")
@click.option("--gas-limit", type=int, envvar="EVMESH_GAS_LIMIT", help="Gas of a block (default 30000000).")
@click.option(
    "--state-history", type=int, envvar="EVMESH_STATE_HISTORY", help="Final blocks that keep their state (default all)."
)
@click.option("--sync", envvar="EVMESH_SYNC", help="How a node without blocks catches up: full (default) or fast.")
@click.option("--host", envvar="EVMESH_HOST", help="Address to listen on (default 127.0.0.1).")
@click.option("--log-level", envvar="EVMESH_LOG_LEVEL", help="debug, info (default), warning or error.")
@click.option("--log-format", envvar="EVMESH_LOG_FORMAT", help="text (default) or json.")
@click.option(
    "--evm",
    envvar="EVMESH_EVM",
    help="auto (default), native, transpiled or plain; auto: the first of these that can be here.",
)
@click.option("--hot", is_flag=True, help="Compile code that runs hot, in a process beside each node (EVMESH_HOT=1).")
@click.option(
    "--config", "manifest_file", type=click.Path(path_type=Path), envvar="EVMESH_CONFIG", help="A TOML manifest."
)
@click.option("--clean", is_flag=True, help="Delete a stopped network of the same name first.")
@click.option("--resume", is_flag=True, help="Continue a stopped network (--name, else the latest).")
@json_option
def up(
    manifest_file: Path | None, detach: bool, no_page: bool, clean: bool, resume: bool, as_json: bool, **flags: Any
) -> None:
    """Start a network of nodes on this machine.

    Each node is a process of its own with its own EVM, database and peers. Under pos blocks are final after
    some seconds, as on Ethereum; under bft at once. Runs until Ctrl-C, or with --detach in the background.
    Settings: flag, else environment (EVMESH_NODES, …), else the file of --config, else the default.
    """
    server = WarmServer()
    try:
        # imported here: while this loads, the server loads the node's modules on another core
        from network.cli.start import up as start

        # a flag that was not given says nothing; port 0 does
        given = {
            key: list(value) if key == "fund" else value
            for key, value in flags.items()
            if value is not None and value is not False and value != ()
        }
        if no_page:
            given["page"] = False
        start(server, manifest_file, given, detach, clean, resume, Output(as_json))
    finally:
        server.close()
