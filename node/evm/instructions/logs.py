"""LOG0 .. LOG4: what receipts and their blooms record."""

from __future__ import annotations

from collections.abc import Callable

from node.evm.frame import Frame
from node.types.receipts import Log


def log(topics_count: int) -> Callable[[Frame], None]:
    """LOGn; the price of the topics is in the base gas of its row."""

    def log_n(frame: Frame) -> None:
        # stack
        pop = frame.stack.pop
        offset = pop()
        size = pop()
        topics = tuple(pop().to_bytes(32, "big") for _ in range(topics_count))
        # gas
        frame.forbid_static()
        frame.charge(frame.prices.log_data_byte * size)
        frame.expand(offset, size)
        # operation
        frame.host.emit_log(Log(frame.address, topics, frame.read(offset, size)))

    return log_n
