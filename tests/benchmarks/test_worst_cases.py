"""The worst cases are what they say: every opcode is among them, and both machines charge the same for them."""

import pytest

from node.evm.native import choice
from node.evm.native.choice import Evm
from node.evm.opcodes import Opcode
from node.forks import osaka
from tests.benchmarks import worst_cases

ENDINGS = {"STOP", "RETURN", "REVERT", "INVALID", "SELFDESTRUCT"}
GAS = 200_000


def test_every_opcode_is_measured() -> None:
    seen = set()
    for _, code in [*worst_cases.opcode_programs(), *worst_cases.hostile_programs()]:
        position = 0
        while position < len(code):
            seen.add(code[position])
            position += 1 + max(0, code[position] - 0x5F if 0x60 <= code[position] <= 0x7F else 0)
    families = ("PUSH", "DUP", "SWAP", "LOG")
    known = {row.name for row in osaka.SPEC.instructions.table if row is not None}
    wanted = {name for name in known - ENDINGS if not name.startswith(families)}
    assert wanted <= {Opcode(number).name for number in seen if number in Opcode._value2member_map_}


def test_both_machines_charge_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worst_cases, "ACCOUNTS", 50)
    try:
        native = worst_cases.world(Evm.NATIVE)
    except choice.NoSuchMachine as error:
        pytest.skip(str(error))
    plain = worst_cases.world(Evm.PLAIN)
    programs = dict(worst_cases.opcode_programs()) | dict(worst_cases.hostile_programs())
    for name, code in (programs | dict(worst_cases.precompile_programs())).items():
        assert worst_cases.measure(native, code, GAS)[1] == worst_cases.measure(plain, code, GAS)[1], name
