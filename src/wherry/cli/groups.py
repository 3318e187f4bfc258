"""A group of verbs: in the order in which they were written, and helpful with a wrong one."""

from __future__ import annotations

import click


class Verbs(click.Group):
    """A `click.Group` whose refusal of an unknown verb names those that are near."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they were declared."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for an unknown one name those that are near."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from wherry.cli.output import near

            meant = near(name, self.list_commands(ctx)) or self.meant(name)
            ctx.fail(f"There is no verb {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def meant(self, name: str) -> str:
        """Return what else may have been meant by a word that is no verb; begins with a blank."""
        return ""


class ListFirst(Verbs):
    """A group whose `list` is meant where no verb is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` where no verb stands."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def examples(*lines: str) -> str:
    """Return the end of a help page: commands as they are typed."""
    return "\b\nFor example:\n" + "\n".join(f"  {line}" for line in lines)
