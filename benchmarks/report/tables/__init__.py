"""The report's tables, as headings and rows."""
