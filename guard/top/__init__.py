"""A running guard in a terminal, in a process of its own: `pretrade-guard top`.

Owns what a terminal shows of the picture (`guard.observe.picture`), and the keys by which an
operator halts and resumes a desk there. Needs the extra `top`.
"""
