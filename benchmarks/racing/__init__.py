"""The race: tasks, contestants, the one clock, the one evaluator. `benchmarks/race.py` runs it.

Nothing here imports amortis except `data` and `contestants/ours`, so that the peers' own
environment needs none of it, and no contestant pays for the imports of another.
"""
