"""Models whose evidence, posterior and best factorized posterior are known in closed form.

Each module has the model as NumPyro writes it and the exact answers in plain NumPy, in double
precision; nothing here uses the library under test.
"""
