"""The console script ``vidmetrics``."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

from pytest_vidmetrics import __version__, commands
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.processors import wait_passively


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(prog="vidmetrics", description="Evaluation metrics of video and audio generators.")
    parser.add_argument("--version", action="version", version=f"vidmetrics {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for found in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        sub = subparsers.add_parser(found.name.replace("_", "-"), help=module.HELP, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: done. 1: something could not be scored, fetched or passed. 2: the call itself is wrong. 130: interrupted.
    """
    args = build_parser().parse_args(argv)
    wait_passively(os.environ)
    try:
        status: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has gone; nothing more can be said to it.
        sys.stderr.close()
        return 1
    except (VidmetricsError, ValueError, TypeError, KeyError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"vidmetrics {args.command}: {text}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
