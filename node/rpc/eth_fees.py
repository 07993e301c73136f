"""eth: what gas costs now, and what it cost."""

from __future__ import annotations

from typing import Any, Final

from node.primitives.hexadecimal import to_quantity
from node.rpc.api import Api
from node.rpc.errors import refused
from node.rpc.methods import MethodTable
from node.rpc.parameters import BlockNumber, ParameterError, Tag, count, items
from node.types.blocks import Header

HISTORY_BLOCKS_MAX: Final = 1_024
PERCENTILES_MAX: Final = 100


class Count(int):
    """How many; hex, decimal text or a JSON integer."""


class Percentiles(tuple[float, ...]):
    """Rising numbers from 0 to 100."""

    __slots__ = ()


NO_PERCENTILES: Final = Percentiles()


def percentiles(value: object) -> Percentiles:
    """Read reward percentiles. Raises ParameterError."""
    read: list[float] = []
    for index, item in enumerate(items(value, "rewardPercentiles", PERCENTILES_MAX)):
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise ParameterError(f"rewardPercentiles: entry {index} is no number")
        if not 0 <= item <= 100:
            raise ParameterError(f"invalid reward percentile: {item:g}")
        if read and item < read[-1]:
            raise ParameterError(f"invalid reward percentile: #{index - 1}:{read[-1]:g} >= #{index}:{item:g}")
        read.append(item)
    return Percentiles(read)


METHODS: Final = MethodTable({Count: lambda value: Count(count(value)), Percentiles: percentiles})
method = METHODS.method

Json = dict[str, Any]


@method("eth_gasPrice")
def gas_price(api: Api) -> str:
    """A price that gets a legacy transaction into the next blocks: next base fee and a tip."""
    return to_quantity(api.fees.next_base_fee(api.backend.chain.head) + api.fees.tip())


@method("eth_maxPriorityFeePerGas")
def max_priority_fee_per_gas(api: Api) -> str:
    """A tip that recent blocks accepted, wei a gas."""
    return to_quantity(api.fees.tip())


@method("eth_baseFee")
def next_base_fee(api: Api) -> str:
    """The base fee of the next block, wei a gas."""
    return to_quantity(api.fees.next_base_fee(api.backend.chain.head))


@method("eth_blobBaseFee")
def blob_base_fee(api: Api) -> str:
    """Wei a blob gas in the head block."""
    return to_quantity(api.fees.blob_base_fee(api.backend.chain.head))


@method("eth_feeHistory")
async def fee_history(
    api: Api, block_count: Count, newest: BlockNumber, reward_percentiles: Percentiles = NO_PERCENTILES
) -> Json:
    """Base fees of up to 1024 blocks and of the one after them, how full they were, and tips by percentile."""
    head = api.backend.chain.head
    last = head.number if newest is Tag.PENDING else api.blocks.number(newest)
    if last > head.number:
        raise refused(f"request beyond head block: requested {last}, head {head.number}")
    blocks = min(block_count, HISTORY_BLOCKS_MAX, last + 1)
    if blocks == 0:
        return {"oldestBlock": "0x0", "gasUsedRatio": []}
    first = last - blocks + 1
    headers: list[Header] = []
    for number in range(first, last + 1):
        header = api.backend.chain.header_by_number(number)
        if header is None:
            raise refused("header not found")
        headers.append(header)
    return await api.lane.run(_history, api, headers, reward_percentiles)


def _history(api: Api, headers: list[Header], reward_percentiles: Percentiles) -> Json:
    fees, newest = api.fees, headers[-1]
    told: Json = {
        "oldestBlock": to_quantity(headers[0].number),
        "baseFeePerGas": [
            *(to_quantity(header.base_fee_per_gas or 0) for header in headers),
            to_quantity(fees.next_base_fee(newest)),
        ],
        "gasUsedRatio": [header.gas_used / header.gas_limit if header.gas_limit else 0 for header in headers],
        "baseFeePerBlobGas": [
            *(to_quantity(fees.blob_base_fee(header)) for header in headers),
            to_quantity(fees.next_blob_base_fee(newest)),
        ],
        "blobGasUsedRatio": [fees.blob_ratio(header) for header in headers],
    }
    if reward_percentiles:
        told["reward"] = [
            [to_quantity(tip) for tip in fees.paid_in(header).percentiles(reward_percentiles, header.gas_used)]
            for header in headers
        ]
    return told
