"""Where the anchors of the audit chains are kept, outside the database."""
