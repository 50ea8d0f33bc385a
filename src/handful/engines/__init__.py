"""Run a frozen network file on photos: LiteRT on a CPU, Keras on a GPU or where LiteRT has no wheel.

Every engine takes uint8 pixels (b, h, w, 3) and gives pooled features float32 (b, d); any thread may
call it. May import `errors`, `extras` and `progress`; only `keras_engine` imports Keras.
"""
