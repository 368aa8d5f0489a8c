"""Many runs of `gio train`: which runs there are, carrying them out here or on a cluster, and comparing their returns.

    variants.py     settings to be varied, as texts of the command line
    runs.py         one run of each variant with each seed, and the state of its folder
    folder.py       the folder of a sweep: its plan, its runs and their table
    attempts.py     bring one run to its end, resuming it where its process was killed
    processes.py    one run in a process of its own, which saves and stops if the sweep dies
    pools.py        where runs take place: processes of this machine, Ray, Slurm
    progress.py     what is shown meanwhile
    carry_out.py    all runs of a sweep
    search.py       settings that are searched for with Optuna
    results.py      returns of finished runs, read from their folders
    statistics.py   interquartile mean, stratified bootstrap, performance profiles, probability of improvement
    comparison.py   the statistics of the results
    page.py         the comparison as an HTML page

Nothing here imports torch, and nothing knows what a run does: what trains is a function of command-line arguments.
"""
