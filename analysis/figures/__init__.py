"""The report's figures: functions that take a study and return a Panel, or None without data.

Read theme.py first: Panel and what all figures share. Each other module draws one view.
"""
