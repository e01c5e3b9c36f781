"""``segloom serve MODEL [MODEL ...]``: answer over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.config.evaluation import InferenceConfig
from segloom.errors import ConfigError
from segloom.serve.limits import Limits
from segloom.serve.models import open_models

__all__ = ["ServeOptions", "run"]

TOKEN_VARIABLE = "SEGLOOM_TOKEN"  # noqa: S105 - its name


@dataclass
class ServeOptions:
    """Serve trained networks over HTTP, with a page to try them and with KServe's protocol."""

    models: Positional[tuple[str, ...]]
    """Runs or model directories, each served under its folder's name or as in NAME=PATH; the first
    is the default."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other machines in."""
    port: int = 8000
    """0 takes any that is free."""
    token: str | None = None
    """Ask every request for this token (Authorization: Bearer TOKEN). Better in the environment
    variable SEGLOOM_TOKEN, since other users of a machine see command lines."""
    hosts: tuple[str, ...] = ()
    """Names by which requests may call a server on 127.0.0.1 beside localhost, as behind a proxy
    that hands on the name; "*" allows all."""
    limits: Limits = field(default_factory=Limits)
    inference: InferenceConfig = field(default_factory=InferenceConfig)


def run(words: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT, and return 0."""
    options = parse(ServeOptions, words, verb="serve")
    try:
        from segloom.serve.server import bind, is_local, serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving needs the package {error.name}; pip install 'segloom[serve]'"
        ) from error
    token = options.token or os.environ.get(TOKEN_VARIABLE) or None
    listener = bind(options.host, options.port)
    try:
        models = open_models(options.models, options.inference)
        name = f"[{options.host}]" if ":" in options.host else options.host
        address = f"http://{name}:{listener.getsockname()[1]}"
        if token is None and not is_local(options.host):
            print(
                f"segloom: everyone who reaches {options.host} may use this server; ask for a "
                f"token with {TOKEN_VARIABLE}.",
                file=sys.stderr,
            )
        print(f"serving {', '.join(model.name for model in models)} at {address}", flush=True)
        serve(models, listener, limits=options.limits, token=token, hosts=options.hosts)
    finally:
        listener.close()
    return 0
