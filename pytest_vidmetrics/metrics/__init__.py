"""Metrics, one module each. Importing a metric module is cheap: heavy libraries load in ``setup()``."""
