"""Words of licences that are shown beside several files."""

NON_COMMERCIAL = "(non-commercial use only)"
