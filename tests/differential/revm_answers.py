"""What revm (package ``pyrevm``) makes of a program: it runs messages, so only the kind ``program`` can be compared.

It runs under Cancun's rules whatever it is asked for, charges the intrinsic gas and pays no fees: so programs come
with a gas price of 0. Accounts with slots are warm in it from the start: programs name them in their access list; and
of the slots that an account is given only the first is as if it had been there. What it cannot tell (roots, accounts
that came into being) is left out of the comparison.
"""

from __future__ import annotations

import importlib
from typing import Any

from tests.differential.cases import CHAIN_ID, Answer, Case, from_hex, to_hex
from tests.differential.node_answers import signed

FORK = "Cancun"
"""Its rules, whichever are asked for."""


def available() -> str:
    """Empty where the package can be asked, else why not."""
    try:
        importlib.import_module("pyrevm")
    except ImportError as error:
        return f"{error}; pip install 'evmesh[oracles]'"
    return ""


def can_judge(case: Case) -> bool:
    """Whether the case is of a kind and a fork that it knows, in the form that makes it warm the same accounts."""
    if case["kind"] != "program" or case["fork"] != FORK or not case["txs"]:
        return False
    tx = signed(case["txs"][0])
    warm = {to_hex(address) for address, _ in tx.access_list}
    named = {address for address, told in case["alloc"].items() if told["storage"]}
    if any(len(told["storage"]) > 1 for told in case["alloc"].values()):
        return False
    return tx.to is not None and to_hex(tx.sender) in case["alloc"] and named <= warm


def answer(case: Case) -> Answer:
    """Success, gas, output, logs, and of every account of the case code and known slots."""
    revm = importlib.import_module("pyrevm")
    env, tx = case["env"], signed(case["txs"][0])
    assert tx.to is not None, "a program is called"
    block = {
        "number": int(env["currentNumber"], 16),
        "coinbase": env["currentCoinbase"],
        "timestamp": int(env["currentTimestamp"], 16),
        "difficulty": 0,
        "prevrandao": from_hex(env["currentRandom"]),
        "gas_limit": int(env["currentGasLimit"], 16),
        "basefee": 0,
        "excess_blob_gas": int(env["currentExcessBlobGas"], 16),
    }
    surroundings = revm.Env(
        cfg=revm.CfgEnv(chain_id=CHAIN_ID),
        block=revm.BlockEnv(**block),
        tx=revm.TxEnv(access_list=[(to_hex(address), list(slots)) for address, slots in tx.access_list]),
    )
    machine = revm.EVM(spec_id=FORK.upper(), env=surroundings, gas_limit=block["gas_limit"])
    for address, told in case["alloc"].items():
        info: dict[str, Any] = {"balance": int(told["balance"], 16), "nonce": int(told["nonce"], 16)}
        if len(told["code"]) > 2:
            info["code"] = from_hex(told["code"])
        machine.insert_account_info(address, revm.AccountInfo(**info))
        for slot, value in told["storage"].items():
            machine.insert_account_storage(address, int(slot, 16), int(value, 16))
    output, failed = b"", False
    try:
        output = machine.message_call(
            caller=to_hex(tx.sender),
            to=to_hex(tx.to),
            calldata=tx.data,
            value=tx.value,
            gas=tx.gas_limit,
            gas_price=0,
        )
    except RuntimeError:
        failed = True
    result = machine.result
    if result is None:
        raise RuntimeError("revm refused the message")
    return {
        "gas": [result.gas_used],
        "succeeded": result.is_success,
        "output": "" if failed else to_hex(output),
        "logs": [
            [log.address.lower(), [topic.lower() for topic in log.topics], to_hex(log.data[1])] for log in result.logs
        ],
        "accounts": {
            address: {
                slot: to_hex(machine.storage(address, int(slot, 16)))
                for slot in [*told["storage"], *map(hex, range(14))]
            }
            for address, told in case["alloc"].items()
        },
    }


def reduced(ours: Answer, case: Case) -> Answer:
    """Our answer, as far as revm has one."""
    succeeded, output = ours["?outputs"][0] if ours["?outputs"] else (False, "0x")
    return {
        "gas": ours["gas"],
        "succeeded": succeeded,
        "output": output if succeeded else "",
        "logs": ours["logs"],
        "accounts": {
            address: {
                slot: ours["accounts"].get(address, [0, 0, "", {}])[3].get(hex(int(slot, 16)), "0x0")
                for slot in [*told["storage"], *map(hex, range(14))]
            }
            for address, told in case["alloc"].items()
        },
    }
