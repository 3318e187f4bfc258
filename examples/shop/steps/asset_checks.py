"""An object trigger: what was uploaded is looked at before anybody shows it.

wherry run steps.asset_checks:app
"""

from shop import app, assets

from wherry import ObjectCreated, log

__all__ = ["app", "check_asset"]

BEGINS = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}


@assets.on_created(grants=[assets.read, assets.delete])
def check_asset(created: ObjectCreated) -> None:
    """Delete what is not the kind of picture that its ticket was for."""
    asset = assets.get(created.key)
    if asset is None:
        return  # removed since
    content = asset.read()
    if not content.startswith(BEGINS[asset.media_type]):
        assets.delete(created.key)
        log.warning("no picture", key=created.key, media_type=asset.media_type)
