"""Mutations: each guard of the engine, removed or weakened in turn, must turn a test red.

The mutants are made from the code, so a new guard is mutated without anybody listing it:

`guards`
    Every boolean test of Python: of an `if`, a `while`, a ternary, a comprehension, a `case`, and
    every comparison, `and`, `or` and `not` elsewhere; also each row of a table of transitions, and
    each element of a set or of what is compared as a tuple.
`conditions`
    Every atom of every DynamoDB condition, filter and key condition, at each place of its use.

`equivalent.toml` names the mutants that no test can tell from the original, each with its reason.
"""
