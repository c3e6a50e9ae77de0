"""What a sweep records: rows (its types), ledger, tables, manifest. Start with rows.py and ledger.py."""
