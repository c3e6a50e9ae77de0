"""Names of the files of a sweep's directory."""

LEDGER = "ledger.sqlite"
LOCK = "driver.lock"
JOURNAL = "optuna.journal"
STUDY = "study.yaml"
MANIFEST = "manifest.json"
REPORT = "report.html"
CHECKPOINTS = "checkpoints"
