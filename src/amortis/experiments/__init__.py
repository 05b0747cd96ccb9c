"""The paper and other references, each with settings, a run, and the values to expect.

Uses the front door only, as a user would.
"""
