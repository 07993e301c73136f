"""What can go wrong, as data: defined once, applied by the simulator and on real processes."""
