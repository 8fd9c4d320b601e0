"""Python imports this as it starts, so that every process of a run knows the row."""

import boxed

boxed.add_row()
