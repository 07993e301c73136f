"""One file a fork; each is a value built from the previous one. Only chain (through the schedule) imports this room."""
