"""Care of an embedded store's file: backup, check, sizes, giving space back, upgrade.

What can be done while the store is served is asked of its owner, some pages at a time. What cannot is done here, by the
process that was asked, while it holds the lock of the directory. Nothing here runs in the owner.
"""
