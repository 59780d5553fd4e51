"""What the stories ask of the outside, in our own types: one Protocol for each kind of outside, and their bundle.

No vendor's type passes here. Every implementation runs the contract tests of its port.
"""

from gitops.ends import End
from gitops.lockfile import Lock
from gitops.ports.accounts import Accounts, Once
from gitops.ports.audit import AuditLog, AuditNote, AuditRow
from gitops.ports.deps import Deps, Service
from gitops.ports.forge import READABLE, Ahead, Check, CheckState, Commit, Forge, ForgeRepository, Mirror, Pull
from gitops.ports.identity import Identity, IdentityProvider
from gitops.ports.locks import Locks
from gitops.ports.notifier import Notifier, Packet, Taken
from gitops.ports.outbox import DueLetter, Outbox
from gitops.ports.pages import Catalogue, Crowned, Mark, Pages, Wanted
from gitops.ports.registry import LoggedModel, RegisteredVersion, Registry, Run, RunEnd, RunRef
from gitops.ports.store import Claim, Effects, Exit, JobView, Lease, QueueDepth, Received, Resting, Store
from gitops.ports.storeroom import Storeroom
from gitops.ports.target import Answer, Target
from gitops.ports.training import (
    LOG_PREFIX,
    BuiltEnvironment,
    Environments,
    Trainer,
    TrainingEnd,
    TrainingSpec,
)
from gitops.serving import STOPPED, Configuration, ConfigurationState, Endpoint, EndpointStatus, Readiness

__all__ = [
    "LOG_PREFIX",
    "READABLE",
    "STOPPED",
    "Accounts",
    "Ahead",
    "Answer",
    "AuditLog",
    "AuditNote",
    "AuditRow",
    "BuiltEnvironment",
    "Catalogue",
    "Check",
    "CheckState",
    "Claim",
    "Commit",
    "Configuration",
    "ConfigurationState",
    "Crowned",
    "Deps",
    "DueLetter",
    "Effects",
    "End",
    "Endpoint",
    "EndpointStatus",
    "Environments",
    "Exit",
    "Forge",
    "ForgeRepository",
    "Identity",
    "IdentityProvider",
    "JobView",
    "Lease",
    "Lock",
    "Locks",
    "LoggedModel",
    "Mark",
    "Mirror",
    "Notifier",
    "Once",
    "Outbox",
    "Packet",
    "Pages",
    "Pull",
    "QueueDepth",
    "Readiness",
    "Received",
    "RegisteredVersion",
    "Registry",
    "Resting",
    "Run",
    "RunEnd",
    "RunRef",
    "Service",
    "Store",
    "Storeroom",
    "Taken",
    "Target",
    "Trainer",
    "TrainingEnd",
    "TrainingSpec",
    "Wanted",
]
