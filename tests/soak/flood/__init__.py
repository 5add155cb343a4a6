"""Floods: attackers send wrong secrets, tokens with unknown keys, slow bodies and huge headers to nginx, while warm clients go on
working.

    python -m soak.flood short|long [FLOOD]...

Each flood prints its figures, and has its bounds from ffi/nginx/LIMITS.md.
"""
