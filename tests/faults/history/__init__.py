"""A history of a shared store: processes work, purge and are killed; a checker reads afterwards whether the store kept its
promises.

The history is a directory of files that only grow, one for each writer, with a line for each event. Times are nanoseconds
of the machine's monotonic clock. A line is written before the call that it announces.

    worker-N-T    op OPERATION TIME KEY SECRET     a request begins; SECRET is "right" or "wrong"
                  end OPERATION TIME STATUS TOKEN  its cache status, and the token or "-"
                  purge OPERATION TIME CLIENT      a purge begins; "*" is everybody
                  purged OPERATION TIME            it has returned
                  failures TIME COUNT              failed calls to the store so far
    provider      exchange START END KEY TOKEN OPERATION
                                                   a token request, its token, and the request that it is for
    runner        killed TIME N                    worker N is dead

A key is a client at a gate: CLIENT/GATE. An operation is N-T-NUMBER.
"""

LIFE = 12.0
"""`expires_in` of all tokens, in seconds."""
GATES = ("orders", "invoices")
"""The gates, by their audience."""
