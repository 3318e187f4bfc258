"""Handles: names of resources in a handler's hands, not connections to them."""

from wherry.handles.buckets import Bucket
from wherry.handles.queues import Queue
from wherry.handles.secrets import Secret
from wherry.handles.tables import Page, Table

__all__ = ["Bucket", "Page", "Queue", "Secret", "Table"]
