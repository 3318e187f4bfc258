"""An environment that was started instead of forked, where forking is not safe."""

from __future__ import annotations

import sys

import msgspec

from wherry.runtime.environment import Prepared, preload
from wherry.runtime.loading import load_app
from wherry.runtime.process import confine
from wherry.runtime.zygote import Setup

if __name__ == "__main__":
    setup = msgspec.json.decode(sys.argv[5], type=Setup)
    app = load_app(setup.target, setup.folder)
    app.freeze()
    preload(app, setup)
    confine.prepare()
    fds = [int(fd) for fd in sys.argv[1].split(",")]
    Prepared(app, setup, int(sys.argv[4])).run(sys.argv[2], fds, sys.argv[3])
