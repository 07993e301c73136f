"""One node of a network for programs: its address, its JSON-RPC, a web3.py object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from network.accounts import Account
from network.client import NodeClient
from network.failures import Failure
from network.lab.web3_door import web3_of


class Node:
    """A node. Its name can be given wherever the network's verbs ask for a node, and so can its number."""

    def __init__(self, index: int, name: str, url: str | None, client: NodeClient, accounts: Sequence[Account]) -> None:
        self.index = index
        self.name = name
        self.client = client
        self._url = url
        self._accounts = accounts
        self._web3: Any = None

    def __repr__(self) -> str:
        return f"<Node {self.name}{' ' + self._url if self._url else ''}>"

    @property
    def url(self) -> str:
        """Where its JSON-RPC is, for any tool. Raises Failure on the simulator, whose nodes have no address."""
        if self._url is None:
            raise Failure(
                f"{self.name} runs under virtual time and has no address",
                "ask it with rpc() or w3, or run the test with --evmesh-on=processes",
            )
        return self._url

    @property
    def w3(self) -> Any:
        """A ``web3.Web3`` for this node that can sign for the funded accounts. Raises Failure without web3.py."""
        if self._web3 is None:
            self._web3 = web3_of(self._url, self.client, self._accounts)
        return self._web3

    def rpc(self, method: str, *parameters: Any) -> Any:
        """The result of one JSON-RPC call. Raises RpcError, NodeUnreachable."""
        return self.client.call(method, *parameters)

    def block_number(self, tag: str = "latest") -> int:
        """Number of its latest (or safe, or finalized) block."""
        return self.client.block_number(tag)

    def block(self, number: int | str = "latest") -> dict[str, Any]:
        """A block as JSON-RPC tells it, with the hashes of its transactions."""
        return self.client.block(number)

    def balance(self, account: Account | int | bytes, tag: int | str = "latest") -> int:
        """Wei of an account: one of the funded ones, by its number, or an address."""
        return self.client.balance(address_of(account, self._accounts), tag)

    def nonce(self, account: Account | int | bytes, tag: str = "latest") -> int:
        """An account's next nonce."""
        return self.client.nonce(address_of(account, self._accounts), tag)


def address_of(account: Account | int | bytes, accounts: Sequence[Account]) -> bytes:
    """20 bytes, of whatever names an account."""
    if isinstance(account, bytes):
        return account
    return (accounts[account] if isinstance(account, int) else account).address
