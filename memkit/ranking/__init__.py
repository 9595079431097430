"""Finding it again: words, vectors, talk and time put into one order, and a score that is a probability.

An owner's memories are an `index.OwnerIndex`; a `index.RankQuery` gives a `result.Ranking`. Below it: `text` (words),
`postings` (who holds them), `vectors`, `view` (what a search may see), `signals` (the order), `calibration` (the
score), `query` (who is asked about), `when`, `days` and `times` (what time is). Beside it: `candidates` for
scopes too large to hold, `tokenizer` for prompts.
"""
