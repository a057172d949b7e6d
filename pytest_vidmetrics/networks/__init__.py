"""Networks that metrics share: one folder per family, single files for the rest."""
