"""How every program behaves, one file a concern; `program` puts them together."""
