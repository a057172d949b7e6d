"""What is tested: manifests, samples, baseline files, verdicts, run records. No pytest, no torch."""
