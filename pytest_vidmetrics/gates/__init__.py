"""What is tested: cases, listings, baselines, verdicts. No pytest, no torch."""
