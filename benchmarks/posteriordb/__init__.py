"""Twelve posteriors of posteriordb, with means and sds of reference draws, as NumPyro models.

`models` holds the models and nothing else, `read` their data and references, `errors` what is
off in draws of any method, `peers` what NUTS and ADVI make of them. The data are not kept here.
"""
