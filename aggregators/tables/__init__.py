"""The fast road: fact tables of all shards as numpy columns, and the KPIs over them."""
