"""Pure functions of arrays: the formulas, without parameters or state."""
