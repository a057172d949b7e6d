"""What set metrics share: features, protocols, reference files."""
