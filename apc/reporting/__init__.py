"""Rows of finished runs to pages, without torch or Ray."""
