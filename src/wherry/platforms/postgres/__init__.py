"""The platform on Postgres: any number of engines share one database, and none of them is special.

What must be one step is one call of a function in the database (`migrations/`): one transaction,
one round trip. Nothing that decides is kept in an engine's memory.
"""
