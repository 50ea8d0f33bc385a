"""The only room that builds, changes or converts a Keras model.

`weights` finds or fetches the weights of a backbone (a `Source`), `safety` looks into files before
anything loads them, `build` makes a frozen Keras model with its preprocessing inside, `convert` turns it
into LiteRT, `converted` keeps the result on disk, `assemble` makes the plain Keras classifier, `quiet`
keeps TensorFlow's noise away. Only `build`, `convert` and `assemble` import Keras or TensorFlow at module
level; a run on a converted backbone touches none of the three. May import `backbones`, `files`,
`progress`, `extras` and `errors`. Converted files of one converter version are not promised to the next.
"""
