"""Estimators over one kind of problem."""
