"""What every service's database code stands on: one group-committing writer, snapshot readers, migrations, types."""
