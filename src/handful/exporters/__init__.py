"""A trained model in a format of others: made beside, compared with the original on real photos, then kept.

Gives a `Parity`. May import everything below `training`; TensorFlow is loaded here.
"""
