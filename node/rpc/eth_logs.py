"""eth: logs, and filters that are polled for news."""

from __future__ import annotations

from typing import Any, Final

from node.rpc.api import Api
from node.rpc.log_criteria import LogCriteria, log_criteria
from node.rpc.methods import MethodTable

METHODS: Final = MethodTable({LogCriteria: log_criteria})
method = METHODS.method

Json = dict[str, Any]


@method("eth_getLogs")
async def get_logs(api: Api, criteria: LogCriteria) -> list[Json]:
    """Matching logs of a range of blocks, or of one block."""
    return await api.log_search.find(criteria)


@method("eth_newFilter")
def new_filter(api: Api, criteria: LogCriteria) -> str:
    """A filter that yields matching logs of new blocks."""
    return api.filters.new_log_filter(criteria)


@method("eth_newBlockFilter")
def new_block_filter(api: Api) -> str:
    """A filter that yields hashes of new blocks."""
    return api.filters.new_block_filter()


@method("eth_newPendingTransactionFilter")
def new_pending_transaction_filter(api: Api, full: bool = False) -> str:
    """A filter that yields transactions that enter the pool: hashes, or whole where ``full``."""
    return api.filters.new_pending_filter(full)


@method("eth_getFilterChanges")
async def get_filter_changes(api: Api, filter_id: str) -> list[Any]:
    """What came since the last poll."""
    return await api.filters.changes(filter_id)


@method("eth_getFilterLogs")
async def get_filter_logs(api: Api, filter_id: str) -> list[Json]:
    """All logs that a log filter covers, old ones too."""
    return await api.log_search.find(api.filters.criteria(filter_id))


@method("eth_uninstallFilter")
def uninstall_filter(api: Api, filter_id: str) -> bool:
    """Forget a filter; false where there is none."""
    return api.filters.remove(filter_id)
