"""The one cache: bounded by number or by weight, and recent entries stay."""

from node.primitives.bounded_cache import BoundedCache


def test_bounded_by_number():
    cache = BoundedCache(10)
    for number in range(100):
        cache.put(number, str(number))
        assert len(cache) <= 10
        assert cache.get(0) == ("0" if number < 1_000 else None)  # asked for again and again, so it stays
    assert cache.get(99) == "99"
    assert cache.get(50) is None
    cache.drop(99)
    assert cache.get(99) is None


def test_bounded_by_weight():
    cache = BoundedCache(100, len)
    for number in range(1_000):
        cache.put(number, b" " * (number % 20))
        assert sum(len(value) for value in {**cache._old, **cache._young}.values()) <= 100 + 2 * 20
    assert cache.get(999) is not None
    cache.put("heavy", b" " * 10_000)
    assert cache.get("heavy") is not None
    for number in range(60):
        cache.put(number, b" " * 20)
    assert cache.get("heavy") is None
    assert sum(len(value) for value in {**cache._old, **cache._young}.values()) <= 140
