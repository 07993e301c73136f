from node.execution.intrinsic import intrinsic_gas
from node.forks import cancun, osaka, paris, shanghai
from tests.unit.execution.world import NOBODY, authorization, set_code, transaction


def test_plain_transfer() -> None:
    assert intrinsic_gas(transaction(), osaka.SPEC) == (21_000, 21_000)
    assert intrinsic_gas(transaction(), cancun.SPEC) == (21_000, 0)


def test_data_and_floor() -> None:
    tx = transaction(data=b"\x00\x00\x01")
    assert intrinsic_gas(tx, cancun.SPEC) == (21_000 + 2 * 4 + 16, 0)
    assert intrinsic_gas(tx, osaka.SPEC) == (21_000 + 2 * 4 + 16, 21_000 + (2 + 4) * 10)


def test_creation_pays_for_init_code_words() -> None:
    tx = transaction(to=None, data=b"\x01" * 33)
    assert intrinsic_gas(tx, paris.SPEC)[0] == 21_000 + 32_000 + 33 * 16
    assert intrinsic_gas(tx, shanghai.SPEC)[0] == 21_000 + 32_000 + 33 * 16 + 2 * 2


def test_access_list() -> None:
    tx = transaction(access_list=((NOBODY, (1, 2)), (NOBODY, ())))
    assert intrinsic_gas(tx, osaka.SPEC)[0] == 21_000 + 2 * 2_400 + 2 * 1_900


def test_authorizations() -> None:
    tx = set_code(0, authorization(1, NOBODY), authorization(2, NOBODY))
    assert intrinsic_gas(tx, osaka.SPEC)[0] == 21_000 + 2 * 25_000
