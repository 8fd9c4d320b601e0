"""The report as a value and what it concludes."""
