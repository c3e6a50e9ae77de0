"""From result tables to findings, figures and one HTML report. Reads tables only."""
