"""key_vault itself as an author: what it does without being asked."""

from __future__ import annotations

from libs.core.audit_authors import Author

GATEHOUSE = Author(actor="services/key-vault", is_admin=True)
