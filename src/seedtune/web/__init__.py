"""The studio: a local web page in which people look at a run, judge its data and compare its answers.

It reads run folders, appends to ``generate/review.jsonl`` and starts the command line as a child process. It imports
none of the stages: they meet in files.

Not covered: several people at one time with rights of their own (whoever may open the page may do everything), and
other users of the same machine where no token is set (``--token``).
"""
