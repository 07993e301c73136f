"""kill -9 in the middle of writing: what was reported durable is there, and no batch is there in half."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from node.storage.lmdb_database import LmdbDatabase

KEYS = 24

WRITER = """
import sys
from pathlib import Path
from node.storage.database import Batch
from node.storage.lmdb_database import LmdbDatabase

database = LmdbDatabase(Path(sys.argv[1]), map_size=1 << 17)
number = int.from_bytes(database.get(b"counter") or b"", "big")
while True:
    number += 1
    loose = Batch()
    loose.put(b"loose%08d" % number, b"")
    database.write(loose, durable=False)
    batch = Batch()
    batch.put(b"counter", number.to_bytes(4, "big"))
    for index in range(int(sys.argv[2])):
        key = b"key%d-%08d" % (index, number)
        batch.put(key, key * (1 + 37 * index))
        if number > 40:
            batch.delete(b"key%d-%08d" % (index, number - 40))
    database.write(batch, durable=True)
    print(number, flush=True)
"""


def test_kill_nine_loses_nothing_durable_and_halves_nothing(tmp_path: Path) -> None:
    chance = random.Random(9)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(KEYS)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            reported = int(writer.stdout.readline())
            started = time.monotonic()
            lines = chance.randrange(3, 25)
            for _ in range(lines):
                reported = int(writer.stdout.readline())
            # Anywhere within the next two batches, however fast the disk is today.
            time.sleep(chance.uniform(0, 2) * (time.monotonic() - started) / lines)
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().splitlines()
            if rest and rest[-1].isdigit():
                reported = int(rest[-1])
        with LmdbDatabase(tmp_path) as database:
            number = int.from_bytes(database.get(b"counter") or b"", "big")
            assert number >= reported > 0
            expected = {
                b"key%d-%08d" % (index, batch)
                for batch in range(max(1, number - 39), number + 1)
                for index in range(KEYS)
            }
            found = dict(database.iterate(b"key"))
            assert set(found) == expected
            assert all(value == key * (1 + 37 * int(key[3 : key.index(b"-")])) for key, value in found.items())
            # Undurable batches land no later than the next durable one, and none overtakes it.
            assert len(list(database.iterate(b"loose"))) == number
