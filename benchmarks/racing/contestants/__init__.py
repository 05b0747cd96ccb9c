"""One file per tool; each has `run(task, data, clock, options)`. `racing.field` lists them."""
