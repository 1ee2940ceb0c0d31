"""Kinds of fields: how a column of codes or numbers becomes feature ids."""
