"""The app: what a team declares, and what a routed handler meets."""

from wherry.app.app import App
from wherry.app.http import Caller, Form, Header, RawBody, Redirect, Reply

__all__ = ["App", "Caller", "Form", "Header", "RawBody", "Redirect", "Reply"]
