"""A web3.py object for a node: over HTTP where the node has an address, else straight through our client.

web3.py is not a dependency of evmesh: it is imported when a test asks for it, and who has it not is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from network.accounts import Account
from network.client import NodeClient, RpcError
from network.failures import Failure
from node.primitives.hexadecimal import to_data


def web3_of(url: str | None, client: NodeClient, accounts: Sequence[Account]) -> Any:
    """A ``web3.Web3`` that signs for ``accounts``; the first is its default account. Raises Failure."""
    try:
        from web3 import HTTPProvider, Web3
        from web3.middleware import SignAndSendRawMiddlewareBuilder
        from web3.providers.base import BaseProvider
    except ImportError as error:
        raise Failure(
            f"web3.py cannot be imported: {error}", "pip install 'web3>=7', or use rpc(), send() and deploy()"
        ) from None

    class ClientProvider(BaseProvider):  # type: ignore[misc,unused-ignore]  # untyped where web3 is absent
        """Requests through the client that we have."""

        def make_request(self, method: Any, params: Any) -> Any:
            try:
                result = client.call(str(method), *params)
            except RpcError as error:
                told = {"code": error.code, "message": error.message}
                if error.data is not None:
                    told["data"] = error.data
                return {"jsonrpc": "2.0", "id": 1, "error": told}
            return {"jsonrpc": "2.0", "id": 1, "result": result}

        def is_connected(self, show_traceback: bool = False) -> bool:
            return client.healthy()

    web3 = Web3(HTTPProvider(url) if url is not None else ClientProvider())
    if accounts:
        # whoever sends from a funded account need not sign: the keys are public anyway
        keys = [to_data(account.private_key) for account in accounts]
        web3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(keys), "evmesh accounts", layer=0)
        web3.eth.default_account = web3.to_checksum_address(accounts[0].address)
    return web3
