"""Real node processes on this machine: start, watch, stop; the run directory is their only shared memory."""
