"""A clock set wrong from another process: at once, by as much as was asked, and never by a write half done."""

import struct

from network.faults.steered_clock import SteeredClock, Steering, read_steering, steer
from node.runtime.clock import SystemClock


def wrong_by(clock):
    return clock.now_ms() - SystemClock().now_ms()


def test_right_until_steered(tmp_path):
    clock = SteeredClock(tmp_path / "clock")
    assert abs(wrong_by(clock)) <= 5
    steer(tmp_path / "clock", 90_000, 0)
    assert abs(wrong_by(clock) - 90_000) <= 5
    steer(tmp_path / "clock", -3_600_000, 0)
    assert abs(wrong_by(clock) + 3_600_000) <= 5
    assert abs(clock.monotonic_ms() - SystemClock().monotonic_ms()) <= 5
    again = SteeredClock(tmp_path / "clock")
    assert abs(wrong_by(again) + 3_600_000) <= 5, "a restart does not set it right"


def test_drift_grows_with_time():
    steering = Steering(offset_ms=-100, drift_ppm=500, drift_from_ms=1000)
    assert steering.wrong_by_ms(1000) == -100
    assert steering.wrong_by_ms(1000 + 3_600_000) == -100 + 1800


def test_reading_what_was_set(tmp_path):
    assert read_steering(tmp_path / "none") == Steering()
    steer(tmp_path / "clock", 7, -20)
    assert (read_steering(tmp_path / "clock").offset_ms, read_steering(tmp_path / "clock").drift_ppm) == (7, -20)


def test_a_write_half_done_is_not_read(tmp_path):
    path = tmp_path / "clock"
    clock = SteeredClock(path)
    steer(path, 1000, 0)
    assert abs(wrong_by(clock) - 1000) <= 5
    with path.open("r+b") as file:
        file.write(struct.pack("<5q", 9, 999_999, 0, 0, 8))
    assert abs(wrong_by(clock) - 1000) <= 5
