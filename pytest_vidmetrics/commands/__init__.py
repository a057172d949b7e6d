"""The subcommands of ``vidmetrics``, one module each.

A module has ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``; its name is the command's. Importing one
is cheap: heavy libraries load in ``run``.
"""
