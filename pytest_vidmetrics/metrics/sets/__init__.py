"""What set metrics share: their base class, features, protocols, reference files."""
