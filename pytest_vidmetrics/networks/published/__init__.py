"""The published files that networks of this package load: sources, pins, sizes and licences.

No torch is imported: what a metric needs is listed and fetched without it. A sha256 is *confirmed* when independent
projects recorded the same one; where a single record is known, another file is warned of and used.
"""
