"""Search of options by Optuna: the driver, its trials and their results."""
