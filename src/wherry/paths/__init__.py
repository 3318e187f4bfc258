"""Paths: what can follow a request, how often it is tried, and what is left after a failure."""

from wherry.paths.findings import check_paths
from wherry.paths.graph import Graph
from wherry.paths.records import Branch, Cycle, Entry, Layer, Link, Path, Step
from wherry.paths.walking import attempts_of, heaviest, paths, trees

__all__ = [
    "Branch",
    "Cycle",
    "Entry",
    "Graph",
    "Layer",
    "Link",
    "Path",
    "Step",
    "attempts_of",
    "check_paths",
    "heaviest",
    "paths",
    "trees",
]
