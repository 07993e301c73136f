"""The mcl library of the mclbn256 wheel, set to the curve bn254. Importing this module loads 20 MB: import it late.

The curve is state of the whole process, and setting it must not meet a computation in another thread. Python
runs a module's body once, and whoever imports it meanwhile waits.
"""

from __future__ import annotations

from typing import Any, Final

from mclbn256 import mclbn256 as wheel

_CURVE_SNARK1: Final = 4
_COMPILED_SIZE: Final = 44
"""The library was built for 4 units of 64 bits in each field; mcl wants 4 + 10 * 4 as proof that we know."""

LIBRARY: Final[Any] = wheel.lib
"""The C functions of mcl's ``bn.h``."""

if LIBRARY.mclBn_init(_CURVE_SNARK1, _COMPILED_SIZE) != 0:
    raise RuntimeError("the mcl library refused the curve bn254 (SNARK1)")

# the wheel keeps a second copy of the library as a bytes object; it has served
wheel.mclbn256_bs = wheel.mcl_bs = b""
