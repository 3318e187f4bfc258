"""Handles: names of resources in a handler's hands, not connections to them."""
