import shape_checks

shape_checks.install()
