"""Fine-tuning where it pays: cut the network, keep the activations at the cut, train what is above it.

`tuning` is the story and gives an `Outcome`: the answer in one line, and the fine-tuned network if it won.
`decision` compares it with the frozen head on the same photos, `flips` asks whether photos may be mirrored,
`views` draws them, `cuts` says where a network can be cut, `trunk` runs what lies below once for each view,
`top` and `runs` train what lies above, `candidate` puts these together, `state` keeps what an interrupted run
has done, `lock` keeps two runs apart. May import `frozen` and everything below it. Keras is imported by
`cuts`, `trunk`, `top`, `runs` and `candidate` alone.
How many steps a given amount of data gets is not promised.
"""
