"""Programs: `python -m experiments.<program> --help`."""
