"""The demonstration: photos of metal parts drawn on the spot, then trained on like anybody's photos.

Gives a folder of JPEG files, one subfolder per class, the same for the same seed. Nothing is downloaded.
May import everything below the command line; `parts` itself needs only numpy and Pillow. Not promised:
that the pictures stay the same from one version of Handful to the next.
"""
