"""Which installation a bench of this folder measures.

The checkout is not on the path of a bench that is run by its path: what is installed is measured.
"""

import sys

from guard.bench.builds import check_peers_comparable
from guard.bench.site import BenchError
from guard.process import installation


def say_what_is_measured(*, beside_the_wheel: bool = False) -> None:
    """The first line of a bench. Beside the wheel, which is compiled, the same form or none."""
    built = installation.described(installation.build())
    print(f"measured  pretrade-guard {built}, in {installation.PACKAGES}")
    if beside_the_wheel:
        try:
            check_peers_comparable()
        except BenchError as error:
            sys.exit(str(error))
