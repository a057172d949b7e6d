"""What a reviewer sees: the HTML report and the Markdown summary, from a run record and the store alone.

Nothing is scored or judged here, and torch is not imported.
"""
