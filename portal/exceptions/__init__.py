"""Every error that the portal names: one tree, each leaf with a `code` that never changes.

The first level is the kind of error; `portal/problems.py` gives each kind its HTTP status, so that a service
never knows one. `detail` is for people, `code` for programs, `extra` holds further members of the answer.
"""

from portal.exceptions.failures import *  # noqa: F403
from portal.exceptions.kinds import *  # noqa: F403
from portal.exceptions.refusals import *  # noqa: F403
