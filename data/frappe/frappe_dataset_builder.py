"""Frappe: which app is used in which context; 10 fields, two false rows to a true one."""

import types

from afm_jax.data.formats import libfm
from afm_jax.data.preparation.raw_builder import RawBuilder

FIELDS = (
    "user",
    "item",
    "daytime",
    "weekday",
    "isweekend",
    "homework",
    "cost",
    "weather",
    "country",
    "city",
)


class Builder(RawBuilder):
    """The libFM files of the NFM and AFM papers."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder with frappe.train.libfm, frappe.validation.libfm and perhaps frappe.test.libfm of github.com/hexiangnan/neural_factorization_machine."
    reader = libfm
    defaults = types.MappingProxyType({"field_names": FIELDS})
