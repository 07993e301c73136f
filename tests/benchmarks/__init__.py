"""Speed, measured beside peers. Nothing here is asserted about time: the machines that run tests are shared."""
