"""The schema registry: the folder `schemas/`, what it says of an app, and who a change breaks.

Every type at rest or in flight has a file there. What is compared is JSON Schema alone: pure
functions over the blueprint, with the team's `upgrade=` handed in by who has its code.
"""
