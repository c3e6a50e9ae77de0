"""The report's figures, one view a file. A function takes a study; it gives a Panel, or None without data."""
