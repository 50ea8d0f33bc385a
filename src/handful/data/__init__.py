"""Photos in: the manifest (folder or table), checks that need no network, splitting, the one decoder.

Gives `Manifest`, `list[Problem]`, index arrays and uint8 pixels. Imports only `errors`, `extras`,
`progress`, `files` and `config`. The number of a decoder version (`images.DECODER_VERSION`) is part of
every cache key: change the pixels, change the number.
"""
