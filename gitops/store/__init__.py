"""The truth in a SQL database: records, jobs, leases, effects and the audit log, each change in one transaction.

`launchpin` processes open a `SqlStore`; only `gitops.store.migrate` changes the schema.
"""

from gitops.store.store import SqlStore, check_audit_joins

__all__ = ["SqlStore", "check_audit_joins"]
