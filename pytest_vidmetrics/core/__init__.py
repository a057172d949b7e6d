"""What every layer may use: result types, errors, content hashes, cache paths, checkpoints.

Imports nothing from the layers above it and no heavy library.
"""
