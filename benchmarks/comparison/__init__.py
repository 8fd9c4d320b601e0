"""Two or more reports side by side, and regressions between them."""
