"""Which regions a unit is made of: loops first, the outer ones before those inside, then what is hot besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from node.evm.native.hot.blocks import Code
from node.evm.native.hot.regions import Heat, Hop, Leave, Region, RegionBuilder, loop_heads

UNIT_STEPS: Final = 2000
"""Instructions of a unit, counted as often as they are held."""
REGIONS_MAX: Final = 60
SEEDS_MAX: Final = 200


@dataclass(slots=True)
class Unit:
    """Regions by their roots."""

    regions: dict[int, Region] = field(default_factory=dict)
    steps: int = 0


def plan(code: Code, heat: Heat) -> Unit:
    """A unit of bounded size; hops to what found no room have become ways out."""
    seeds = heat.order(code.landings)[:SEEDS_MAX]
    loops = _loops(code, heat, seeds)
    unit = Unit()
    covered: set[int] = set()
    waiting: dict[int, None] = dict.fromkeys(loops)
    seeds_left = [pc for pc in seeds if pc not in waiting]
    roots = set(loops)
    while (waiting or seeds_left) and len(unit.regions) < REGIONS_MAX:
        if waiting:
            root = next(iter(waiting))
            del waiting[root]
        else:
            root = seeds_left.pop(0)
            if root in covered:
                continue
        if root in unit.regions or not code.block(root).steps:
            continue
        roots.add(root)
        builder = RegionBuilder(code, heat, root, roots, unit.regions)
        region = builder.build()
        if unit.steps + region.steps > UNIT_STEPS:
            if unit.steps > UNIT_STEPS // 2:
                break
            continue
        unit.regions[root] = region
        unit.steps += region.steps
        covered.update(place.pc for place in region.blocks)
        waiting.update(dict.fromkeys(builder.hops))
        waiting.update((pc, None) for pc in builder.left if not heat.is_cold(pc))
    for region in unit.regions.values():
        for held in region.blocks.values():
            if isinstance(held.taken, Hop) and held.taken.pc not in unit.regions:
                held.taken = Leave(held.taken.pc)
            if isinstance(held.falls, Hop) and held.falls.pc not in unit.regions:
                held.falls = Leave(held.falls.pc)
    return unit


def _loops(code: Code, heat: Heat, seeds: list[int]) -> list[int]:
    """Where loops begin: those first that hold most of the others."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    for seed in seeds:
        if seed in seen:
            continue
        region = RegionBuilder(code, heat, seed, (), ()).build()
        seen.update(place.pc for place in region.blocks)
        found.update(dict.fromkeys(pc for pc in loop_heads(region) if pc in code.landings))
    holds: dict[int, int] = {}
    for head in found:
        region = RegionBuilder(code, heat, head, (), ()).build()
        inside = {place.pc for place in region.blocks}
        holds[head] = sum(1 for other in found if other in inside)
    order = {pc: place for place, pc in enumerate(heat.order(found))}
    return sorted(found, key=lambda pc: (-holds[pc], order[pc]))
