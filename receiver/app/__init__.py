"""The composition root: knows every stage, wires them up, starts and stops them in order."""
