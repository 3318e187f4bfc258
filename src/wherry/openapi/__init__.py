"""What an app looks like from outside: its OpenAPI document, and a page to read and try it."""

from __future__ import annotations

from wherry.openapi.document import document
from wherry.openapi.pages import Pages, pages

__all__ = ["Pages", "document", "pages"]
