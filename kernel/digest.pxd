# The types of digest.py, for the compiler alone: of a row's digests, which every record takes.

cpdef bytes input_digest_of_row(bytes row)
cpdef bytes decision_digest_of_row(bytes row)
