"""A soak: mixed traffic through real hosts for hours, with faults and kills, in which every response is checked.

    python -m soak run [--hours H | --seconds S] [--seed N] [--directory DIRECTORY]
    python -m soak report [--seed N] [--directory DIRECTORY]

One process sends the requests, is the provider and the upstream, and causes the chaos. It writes samples, events and wrong
answers to DIRECTORY/log.jsonl, so that an interruption keeps them.
"""
