"""The command line: one file per command. A body imports what it needs, so that --help is instant.

Exit codes: 0 done, 2 the user's mistake, 3 done but some files were refused, 130 stopped by Ctrl-C; 1 is a
crash, that is, a defect of Handful's.
"""
