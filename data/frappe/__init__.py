"""The Frappe log of app usage as a TFDS data set."""
