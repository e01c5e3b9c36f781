"""Preparing, listing and downloading data sets."""
