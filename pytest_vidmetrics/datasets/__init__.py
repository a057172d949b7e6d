"""Prompt corpora and folders as samples."""
