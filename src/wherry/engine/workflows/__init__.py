"""Workflows in the engine: what happens to executions, and the steps by which they move."""
