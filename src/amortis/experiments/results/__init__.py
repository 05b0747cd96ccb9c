"""From runs to what a person reads: rows of a summary, CSV files, pictures, a page.

May enter: runs and settings. Nothing here fits.
"""
